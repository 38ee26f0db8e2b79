// QEMU's mps2-an386, a Cortex-M4 of 25 MHz.
#include "machine.h"

namespace machine {

const char* const kName = "qemu-m4";
const Clock kClock = {0x40000000, 0x40000004, 0x40000008};
const uint32_t kInstructions = 40;
const uint32_t kTicks = 1;
const uintptr_t kUart = 0x40004000;
const unsigned kUartInterrupt = 0;

}  // namespace machine
