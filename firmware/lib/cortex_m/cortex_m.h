// What bare Cortex-M boards share: reset, vector table and interrupts.
#ifndef SWIN2MCU_CORTEX_M_H_
#define SWIN2MCU_CORTEX_M_H_

#include <stdint.h>

namespace cortex_m {

// Defined by the board; called for every external interrupt it has enabled.
void OnInterrupt();

void EnableInterrupt(unsigned number);

// Waits for an interrupt unless `ready()`; an interrupt between the question and the wait is not
// missed, because it stays pending while interrupts are off.
inline void WaitUnless(bool (*ready)()) {
  asm volatile("cpsid i" ::: "memory");
  if (!ready()) asm volatile("wfi" ::: "memory");
  asm volatile("cpsie i" ::: "memory");
}

}  // namespace cortex_m

#endif  // SWIN2MCU_CORTEX_M_H_
