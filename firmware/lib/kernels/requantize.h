// TensorFlow Lite's fixed-point arithmetic with two roundings, exactly. The shorter computations of
// all variants must equal it; where they do not apply, the variants use it. Private to the kernels.
#ifndef FIRMWARE_LIB_KERNELS_REQUANTIZE_H_
#define FIRMWARE_LIB_KERNELS_REQUANTIZE_H_

#include <stdint.h>

// int32 addition as TensorFlow Lite's binaries do it: modulo 2^32, where C leaves it undefined.
static inline int32_t wrapping_add(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a + (uint32_t)b);
}

// round(a * b / 2^31), half up. b >= 0 for every multiplier, so the one product that saturates in
// TensorFlow Lite (-2^31 squared) cannot occur.
static inline int32_t doubling_high_multiply(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

// round(x / 2^exponent), half away from zero; 0 <= exponent <= 31.
static inline int32_t divide_by_power_of_two(int32_t x, int32_t exponent) {
  const int32_t mask = (int32_t)((1u << exponent) - 1);
  const int32_t remainder = x & mask;
  const int32_t threshold = (mask >> 1) + (x < 0);
  return (x >> exponent) + (remainder > threshold);
}

// x * multiplier * 2^(shift - 31), rounded twice. -31 <= shift <= 30; the left shift wraps.
static inline int32_t rescale(int32_t x, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  const int32_t right = shift > 0 ? 0 : -shift;
  const int32_t shifted = (int32_t)((uint32_t)x << left);
  return divide_by_power_of_two(doubling_high_multiply(shifted, multiplier), right);
}

static inline int8_t clamp_to_int8(int32_t x) {
  return (int8_t)(x < -128 ? -128 : x > 127 ? 127 : x);
}

// The tail of every kernel: zero point, clamp, table.
static inline int8_t finish(int32_t rescaled, int32_t zero_point, const int8_t* table) {
  const int8_t q = clamp_to_int8(wrapping_add(rescaled, zero_point));
  return table ? table[q + 128] : q;
}

#endif  // FIRMWARE_LIB_KERNELS_REQUANTIZE_H_
