// What differs between the machines that QEMU emulates; src/boards/<board>/machine.cc defines it.
#ifndef SWIN2MCU_MACHINE_H_
#define SWIN2MCU_MACHINE_H_

#include <stdint.h>

namespace machine {

extern const char* const kName;

// A 32-bit counter of virtual time: writing 1 to `control` starts it. One that counts down needs
// `reload` set to all ones; one that counts up has none.
struct Clock {
  uintptr_t control;
  uintptr_t value;
  uintptr_t reload;
};
extern const Clock kClock;

// With -icount shift=0 an instruction takes 1 ns of virtual time: 1000 / MHz instructions a tick,
// as a fraction.
extern const uint32_t kInstructions;
extern const uint32_t kTicks;

extern const uintptr_t kUart;  // a CMSDK serial port, and its receive interrupt
extern const unsigned kUartInterrupt;

}  // namespace machine

#endif  // SWIN2MCU_MACHINE_H_
