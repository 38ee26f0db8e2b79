// Depthwise convolution of four channels after the other, see depthwise.c.
#ifndef FIRMWARE_LIB_KERNELS_HELIUM_FOURS_H_
#define FIRMWARE_LIB_KERNELS_HELIUM_FOURS_H_

#include <stdint.h>

// Groups of four channels of a simple layer whose shifts are below 0, computed by one assembly
// block: a compiler cannot keep a group's values in registers.
typedef struct {
  const int8_t* plane;
  int32_t plane_bytes;
  const int8_t* weights;
  const int32_t* bias;
  const int32_t* multiplier;
  const int8_t* shift;
  int8_t* out;
  int32_t* sums;       // or NULL
  int32_t channels;    // bytes from one pixel's outputs to the next one's
  int32_t zero_point;  // and 128 more where there is a table
  const int8_t* table;
  int32_t more;  // outputs but the first
  int32_t groups;
} Fours;

// The function changes its Fours.
typedef void MultiplyFours(Fours* fours);

// The function for windows of `weight_bytes` (taps, rounded up to vectors) which lie `step` bytes
// apart, or NULL; `look_up` says whether there is a table.
MultiplyFours* kernel_fours_for(int32_t weight_bytes, int32_t step, int32_t look_up);

#endif  // FIRMWARE_LIB_KERNELS_HELIUM_FOURS_H_
