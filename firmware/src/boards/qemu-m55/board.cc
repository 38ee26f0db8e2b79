// QEMU's mps3-an547: a Cortex-M55 with CMSDK serial ports. SysTick counts virtual time.
#include "board.h"

#include "cmsdk.h"
#include "cortex_m.h"

namespace board {
namespace {

struct SysTick {
  volatile uint32_t control;
  volatile uint32_t reload;
  volatile uint32_t value;
};

auto* const kSysTick = reinterpret_cast<SysTick*>(0xE000E010);
auto* const kUart = reinterpret_cast<cmsdk::Uart*>(0x59303000);
constexpr unsigned kUartReceiveInterrupt = 33;
constexpr uint32_t kSysTickMask = 0xFFFFFF;
constexpr uint32_t kEnableOnReference = 1;
// The reference clock is 1 MHz, while with -icount shift=0 an instruction takes 1 ns. The
// processor's own 32 MHz would be finer, but 24 bits of it wrap within half a second.
constexpr uint32_t kInstructionsPerTick = 1000;

}  // namespace

void Init() {
  kSysTick->reload = kSysTickMask;
  kSysTick->value = 0;
  kSysTick->control = kEnableOnReference;
  cmsdk::Init(kUart, kUartReceiveInterrupt);
}

const char* Name() { return "qemu-m55"; }
size_t Read(uint8_t* data, size_t capacity) { return cmsdk::Read(data, capacity); }
void Write(const uint8_t* data, size_t size) { cmsdk::Write(data, size); }
uint32_t Clock() { return (kSysTickMask - kSysTick->value) & kSysTickMask; }
uint32_t Cost(uint32_t ticks) { return (ticks & kSysTickMask) * kInstructionsPerTick; }
CostUnit Unit() { return CostUnit::kInstructions; }
uint32_t BootNumber() { return cmsdk::BootNumber(); }
uint32_t StackBytes() { return cortex_m::StackBytes(); }

}  // namespace board
