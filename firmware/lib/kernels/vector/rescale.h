// Requantization without a branch, as compilers turn into vector instructions: the arithmetic of
// ../requantize.h, with the 64-bit product shifted logically, as only its low 32 bits are kept.
#ifndef FIRMWARE_LIB_KERNELS_VECTOR_RESCALE_H_
#define FIRMWARE_LIB_KERNELS_VECTOR_RESCALE_H_

#include <stdint.h>

#include "../kernels.h"
#include "../requantize.h"

// As rescale, for a shift of -31 .. 30.
static inline int32_t rescale_plainly(int32_t x, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  const int32_t right = left - shift;
  const int32_t shifted = (int32_t)((uint32_t)x << left);
  const int64_t product = (int64_t)shifted * multiplier + (1 << 30);
  const int32_t y = (int32_t)(uint32_t)((uint64_t)product >> 31);
  const int32_t mask = (int32_t)((1u << right) - 1);
  return (y >> right) + ((y & mask) > (mask >> 1) + (y < 0));
}

// As finish without a table.
static inline int8_t saturate(int32_t rescaled, int32_t zero_point) {
  return clamp_to_int8(wrapping_add(rescaled, zero_point));
}

static inline void look_up(int8_t* values, int32_t count, const int8_t* table) {
  if (!table) return;
  for (int32_t i = 0; i < count; ++i) values[i] = table[values[i] + 128];
}

// The sums of one pixel's channels, from `first` on, to bytes.
static inline void requantize_channels(const int32_t* restrict sums, int32_t first, int32_t count,
                                       const Requant* requant, int8_t* restrict out) {
  const int32_t* restrict const bias = requant->bias + first;
  const int32_t* restrict const multiplier = requant->multiplier + first;
  const int8_t* restrict const shift = requant->shift + first;
  const int32_t zero_point = requant->zero_point;
  for (int32_t c = 0; c < count; ++c) {
    const int32_t sum = wrapping_add(sums[c], bias[c]);
    out[c] = saturate(rescale_plainly(sum, multiplier[c], shift[c]), zero_point);
  }
  look_up(out, count, requant->table);
}

#endif  // FIRMWARE_LIB_KERNELS_VECTOR_RESCALE_H_
