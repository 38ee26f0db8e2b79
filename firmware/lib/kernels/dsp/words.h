// Words of four int8 and their halves widened to two int16. SXTB16 takes the even bytes of a word
// or, rotated, the odd ones.
#ifndef FIRMWARE_LIB_KERNELS_DSP_WORDS_H_
#define FIRMWARE_LIB_KERNELS_DSP_WORDS_H_

#include <arm_acle.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t load_word(const int8_t* p) {
  uint32_t word;
  memcpy(&word, p, 4);
  return word;
}

// A word of packed weights, which are aligned: pairs of them load as one LDRD.
static inline uint32_t load_weights(const int8_t* p) {
  uint32_t word;
  memcpy(&word, __builtin_assume_aligned(p, 4), 4);
  return word;
}

// A word of which only `count` bytes may be read; the others are 0.
static inline uint32_t load_bytes(const int8_t* p, int32_t count) {
  uint32_t word = 0;
  for (int32_t i = 0; i < count; ++i) word |= (uint32_t)(uint8_t)p[i] << 8 * i;
  return word;
}

static inline int16x2_t even_bytes(uint32_t word) { return __sxtb16(word); }

// GCC does not fold a rotation into its SXTB16 intrinsic.
static inline int16x2_t odd_bytes(uint32_t word) {
  int16x2_t result;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(word));
  return result;
}

// The low halves of two words, the first word's below.
static inline uint32_t low_halves(uint32_t below, uint32_t above) {
  uint32_t result;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(below), "r"(above));
  return result;
}

#endif  // FIRMWARE_LIB_KERNELS_DSP_WORDS_H_
