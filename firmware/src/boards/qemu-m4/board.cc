// QEMU's mps2-an386: a Cortex-M4 with CMSDK peripherals. Its timer counts virtual time.
#include "board.h"

#include "cmsdk.h"
#include "cortex_m.h"

namespace board {
namespace {

struct Timer {
  volatile uint32_t control;
  volatile uint32_t value;
  volatile uint32_t reload;
};

auto* const kTimer = reinterpret_cast<Timer*>(0x40000000);
auto* const kUart = reinterpret_cast<cmsdk::Uart*>(0x40004000);
constexpr unsigned kUartReceiveInterrupt = 0;
// 25 MHz, while with -icount shift=0 an instruction takes 1 ns.
constexpr uint32_t kInstructionsPerTick = 40;

}  // namespace

void Init() {
  kTimer->reload = UINT32_MAX;
  kTimer->value = UINT32_MAX;
  kTimer->control = 1;
  cmsdk::Init(kUart, kUartReceiveInterrupt);
}

const char* Name() { return "qemu-m4"; }
size_t Read(uint8_t* data, size_t capacity) { return cmsdk::Read(data, capacity); }
void Write(const uint8_t* data, size_t size) { cmsdk::Write(data, size); }
uint32_t Clock() { return UINT32_MAX - kTimer->value; }
uint32_t Cost(uint32_t ticks) { return ticks * kInstructionsPerTick; }
CostUnit Unit() { return CostUnit::kInstructions; }
uint32_t BootNumber() { return cmsdk::BootNumber(); }
uint32_t StackBytes() { return cortex_m::StackBytes(); }

}  // namespace board
