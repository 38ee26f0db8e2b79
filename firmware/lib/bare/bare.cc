#include "bare.h"

#include <stddef.h>
#include <string.h>  // memcpy, memset

int main();

extern "C" {
// From bare.ld.
extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[];
extern uint32_t stack_bottom[], stack_top[];
using Constructor = void (*)();
extern Constructor init_array_start[], init_array_end[];
}

namespace bare {
namespace {

constexpr uint32_t kStackPaint = 0xA5A5A5A5;

// In bytes, between two symbols of the linker.
size_t Distance(const uint32_t* from, const uint32_t* to) {
  return reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from);
}

}  // namespace

void Start() {
  const auto* const here = static_cast<uint32_t*>(__builtin_frame_address(0)) - 32;
  for (volatile uint32_t* p = stack_bottom; p < here; ++p) *p = kStackPaint;
  memcpy(data_start, data_load, Distance(data_start, data_end));
  memset(bss_start, 0, Distance(bss_start, bss_end));
  for (Constructor* constructor = init_array_start; constructor < init_array_end; ++constructor)
    (*constructor)();
  main();
}

uint32_t StackBytes() {
  const volatile uint32_t* p = stack_bottom;
  while (p < stack_top && *p == kStackPaint) ++p;
  return Distance(const_cast<const uint32_t*>(p), stack_top);
}

}  // namespace bare
