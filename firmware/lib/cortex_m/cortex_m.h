// Shared by Cortex-M boards without an operating system: reset, vector table and interrupts.
#ifndef SWIN2MCU_CORTEX_M_H_
#define SWIN2MCU_CORTEX_M_H_

#include <stdint.h>

namespace cortex_m {

// Makes an interrupt end WaitUnless(). It only becomes pending: no handler runs.
void WakeOn(unsigned number);

// Clears an interrupt that came earlier, so that it does not end the next WaitUnless().
void Forget(unsigned number);

// Sleeps until the interrupt comes, unless `ready()`. An interrupt that comes between the call of
// ready() and the sleep is not missed, because it stays pending.
inline void WaitUnless(bool (*ready)(), unsigned number) {
  Forget(number);
  if (!ready()) asm volatile("wfi" ::: "memory");
}

}  // namespace cortex_m

#endif  // SWIN2MCU_CORTEX_M_H_
