// Four neighboring channels of every pixel by their gates.
#ifndef FIRMWARE_LIB_KERNELS_DSP_GATE_H_
#define FIRMWARE_LIB_KERNELS_DSP_GATE_H_

#include <arm_acle.h>
#include <stdint.h>

typedef struct {
  const int8_t* in;
  int8_t* out;   // may be in
  int32_t step;  // bytes from one pixel to the next
  // Gates less their zero point, doubled: of the first and the third channel, of the second and the
  // fourth.
  int16x2_t even_gates, odd_gates;
  int32_t multiplier, addend, shift;  // SimpleRequant
  int16x2_t offset;                   // less the input's zero point, twice
  const int8_t* in_end;
} Gate;
void kernel_multiply_by_gates(const Gate* gate);

#endif  // FIRMWARE_LIB_KERNELS_DSP_GATE_H_
