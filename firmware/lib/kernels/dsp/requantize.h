// Requantization in five instructions, for channels that meet the condition of Requant.simple and
// whose shift is below 0: the others are left to ../requantize.h.
//
// With e = -shift >= 1 the exact result is
//   y = (sum * multiplier + 2^30) >> 31             the doubling high multiply, rounded half up
//   q = (y - (y < 0) + 2^(e-1)) >> e                half away from zero
// and q + zero_point = (y - (y < 0) + 2^(e-1) + zero_point * 2^e) >> e. SMMLAR(2 * sum, multiplier,
// a) is y + a, so its addend holds everything else. The sign of sum may be used instead of the sign
// of y: where they differ y is 0, and 0 - 1 + 2^(e-1) >> e is 0 as well. The sum is doubled by an
// addition, and SSAT does not shift, as some cores have one unit for shifts.
#ifndef FIRMWARE_LIB_KERNELS_DSP_REQUANTIZE_H_
#define FIRMWARE_LIB_KERNELS_DSP_REQUANTIZE_H_

#include <stdint.h>

#include "../requantize.h"

// a + round(b * c / 2^32)
static inline int32_t multiply_add_high(int32_t a, int32_t b, int32_t c) {
  int32_t result;
  __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(b), "r"(c), "r"(a));
  return result;
}

static inline int32_t saturate_to_int8(int32_t x) {
  int32_t result;
  __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(x));
  return result;
}

// The constants that a channel's outputs share.
typedef struct {
  int32_t multiplier;
  int32_t addend;  // (2 * zero_point + 1) * 2^(e - 1)
  int32_t shift;   // e
} SimpleRequant;

static inline SimpleRequant simple_requant(int32_t multiplier, int32_t shift,
                                           int32_t odd_zero_point) {
  return (SimpleRequant){multiplier, (int32_t)((uint32_t)odd_zero_point << ~shift), -shift};
}

// Of twice the sum.
static inline int32_t requantize_doubled(int32_t twice, SimpleRequant requant) {
  const int32_t addend = requant.addend + (twice >> 31);
  return saturate_to_int8(multiply_add_high(addend, twice, requant.multiplier) >> requant.shift);
}

static inline int32_t requantize_simple(int32_t sum, SimpleRequant requant) {
  return requantize_doubled(sum + sum, requant);
}

// The steps of both sums alternate. A compiler would compute one sum after the other, and each
// step would wait for the one before it.
static inline void requantize_two_doubled(int32_t* twice, SimpleRequant requant) {
  int32_t a = twice[0], b = twice[1], x, y;
  __asm__(
      "add %[x], %[addend], %[a], asr #31\n"
      "add %[y], %[addend], %[b], asr #31\n"
      "smmlar %[a], %[a], %[multiplier], %[x]\n"
      "smmlar %[b], %[b], %[multiplier], %[y]\n"
      "asr %[a], %[a], %[shift]\n"
      "asr %[b], %[b], %[shift]\n"
      "ssat %[a], #8, %[a]\n"
      "ssat %[b], #8, %[b]"
      : [a] "+r"(a), [b] "+r"(b), [x] "=&r"(x), [y] "=&r"(y)
      : [addend] "r"(requant.addend), [multiplier] "r"(requant.multiplier),
        [shift] "r"(requant.shift));
  twice[0] = a;
  twice[1] = b;
}

#endif  // FIRMWARE_LIB_KERNELS_DSP_REQUANTIZE_H_
