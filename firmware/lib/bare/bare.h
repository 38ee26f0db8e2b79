// Shared by programs without an operating system: start-up after reset, and the measured stack.
#ifndef SWIN2MCU_BARE_H_
#define SWIN2MCU_BARE_H_

#include <stdint.h>

namespace bare {

// Called by the processor's reset code once there is a stack: sets up memory, then runs main().
void Start();

// The most stack that was used since Start(), in bytes.
uint32_t StackBytes();

}  // namespace bare

#endif  // SWIN2MCU_BARE_H_
