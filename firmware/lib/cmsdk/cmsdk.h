// The peripherals that Arm's MPS boards share: a serial port without FIFO, and a boot number for
// emulators, whose memory is the same after each start.
#ifndef SWIN2MCU_CMSDK_H_
#define SWIN2MCU_CMSDK_H_

#include <cstddef>
#include <cstdint>

namespace cmsdk {

struct Uart {
  volatile uint32_t data;
  volatile uint32_t state;
  volatile uint32_t control;
  volatile uint32_t interrupts;
  volatile uint32_t baud_divisor;
};

void Init(Uart* uart, unsigned receive_interrupt);
size_t Read(uint8_t* data, size_t capacity);
void Write(const uint8_t* data, size_t size);
uint32_t BootNumber();

}  // namespace cmsdk

#endif  // SWIN2MCU_CMSDK_H_
