#include "bare.h"
#include "cortex_m.h"

extern "C" {
extern uint32_t stack_top[];  // from bare.ld

void Reset();
void Fault();
}

namespace {

constexpr int kExternalInterrupts = 64;

volatile uint32_t& Register(uint32_t address) {
  return *reinterpret_cast<volatile uint32_t*>(address);
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
  for (auto& handler : vectors.external) handler = Fault;  // none is ever taken
  return vectors;
}

__attribute__((section(".vectors"), used)) constexpr Vectors kVectors = MakeVectors();

}  // namespace

void Reset() {
  Register(0xE000ED88) = 0xFu << 20;  // CPACR: floating point and vector registers on
  asm volatile("dsb\n isb" ::: "memory");
  bare::Start();
}

// A fault resets the board: the host notices the new boot number; it could not notice a hang.
void Fault() {
  Register(0xE000ED0C) = 0x05FA0004;  // AIRCR: system reset
  for (;;) {
  }
}

void cortex_m::WakeOn(unsigned number) {
  asm volatile("cpsid i" ::: "memory");
  Register(0xE000E100 + number / 32 * 4) = 1u << (number % 32);
}

void cortex_m::Forget(unsigned number) {
  Register(0xE000E280 + number / 32 * 4) = 1u << (number % 32);
}
