// QEMU's mps2-an505, a Cortex-M33 of 20 MHz.
#include "machine.h"

namespace machine {

const char* const kName = "qemu-m33";
const Clock kClock = {0x50000000, 0x50000004, 0x50000008};
const uint32_t kInstructions = 50;
const uint32_t kTicks = 1;
const uintptr_t kUart = 0x50200000;
const unsigned kUartInterrupt = 32;

}  // namespace machine
