// QEMU's mps3-an547, a Cortex-M55 of 32 MHz.
#include "machine.h"

namespace machine {

const char* const kName = "qemu-m55";
const Clock kClock = {0x58100000, 0x48101000, 0};
const uint32_t kInstructions = 125;
const uint32_t kTicks = 4;
const uintptr_t kUart = 0x59303000;
const unsigned kUartInterrupt = 33;

}  // namespace machine
