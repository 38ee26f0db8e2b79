#include <cstring>  // memcpy, memset

#include "cortex_m.h"

int main();

extern "C" {
// From cortex_m.ld.
extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[];
extern uint32_t stack_bottom[], stack_top[];
using Constructor = void (*)();
extern Constructor init_array_start[], init_array_end[];

void Reset();
void Fault();
void External();
}

namespace {

constexpr uint32_t kStackPaint = 0xA5A5A5A5;
constexpr int kExternalInterrupts = 64;

volatile uint32_t& Register(uint32_t address) {
  return *reinterpret_cast<volatile uint32_t*>(address);
}

// In bytes, between two symbols of the linker.
size_t Distance(const uint32_t* from, const uint32_t* to) {
  return reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from);
}

struct Vectors {
  const void* stack_top;
  void (*system[15])();
  void (*external[kExternalInterrupts])();
};

constexpr Vectors MakeVectors() {
  Vectors vectors{};
  vectors.stack_top = stack_top;
  vectors.system[0] = Reset;
  for (int i = 1; i < 15; ++i) vectors.system[i] = Fault;
  for (auto& handler : vectors.external) handler = External;
  return vectors;
}

__attribute__((section(".vectors"), used)) constexpr Vectors kVectors = MakeVectors();

}  // namespace

void Reset() {
  Register(0xE000ED88) = 0xFu << 20;  // CPACR: floating point and vector registers on
  asm volatile("dsb\n isb" ::: "memory");
  const auto* const here = static_cast<uint32_t*>(__builtin_frame_address(0)) - 32;
  for (volatile uint32_t* p = stack_bottom; p < here; ++p) *p = kStackPaint;
  std::memcpy(data_start, data_load, Distance(data_start, data_end));
  std::memset(bss_start, 0, Distance(bss_start, bss_end));
  for (Constructor* constructor = init_array_start; constructor < init_array_end; ++constructor)
    (*constructor)();
  main();
}

// A fault begins anew: the host notices the new boot number, whereas a hang would only be silence.
void Fault() {
  Register(0xE000ED0C) = 0x05FA0004;  // AIRCR: system reset
  for (;;) {
  }
}

void External() { cortex_m::OnInterrupt(); }

namespace cortex_m {

void EnableInterrupt(unsigned number) {
  Register(0xE000E100 + number / 32 * 4) = 1u << (number % 32);
}

uint32_t StackBytes() {
  const volatile uint32_t* p = stack_bottom;
  while (p < stack_top && *p == kStackPaint) ++p;
  return Distance(const_cast<const uint32_t*>(p), stack_top);
}

}  // namespace cortex_m
