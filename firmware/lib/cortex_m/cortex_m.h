// What bare Cortex-M boards share: reset, vector table and interrupts.
#ifndef SWIN2MCU_CORTEX_M_H_
#define SWIN2MCU_CORTEX_M_H_

#include <stdint.h>

namespace cortex_m {

// Makes an interrupt end WaitUnless(). It is never taken, no handler runs.
void WakeOn(unsigned number);

// Makes an interrupt that came before WaitUnless() no reason not to wait.
void Forget(unsigned number);

// Sleeps until the interrupt comes, unless `ready()`. One that comes between the question and the
// sleep is not missed, because it stays pending.
inline void WaitUnless(bool (*ready)(), unsigned number) {
  Forget(number);
  if (!ready()) asm volatile("wfi" ::: "memory");
}

}  // namespace cortex_m

#endif  // SWIN2MCU_CORTEX_M_H_
