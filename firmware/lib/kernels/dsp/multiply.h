// Products of a pair of weight rows with one or two columns. A word of four int8 is widened by
// SXTB16 to two pairs of int16, the even bytes and (rotated) the odd ones; done to weights and
// inputs alike the pairs match without reordering.
//
// Weights   [blocks][2][4]: four weights of the first row, four of the second.
// Columns   [blocks][2][P] words: the even pairs of P pixels, then their odd pairs.
//
// Each function starts from two sums, the biases of the rows, and returns the next pair's weights.
#ifndef FIRMWARE_LIB_KERNELS_DSP_MULTIPLY_H_
#define FIRMWARE_LIB_KERNELS_DSP_MULTIPLY_H_

#include <arm_acle.h>
#include <stdint.h>

#include "words.h"

enum { kMaxPixels = 3 };

#define ALWAYS_INLINE static inline __attribute__((always_inline))

// The columns of a batch of pixels and where they end, all blocks and those that come in twos.
typedef struct {
  const int16x2_t* begin;
  const int16x2_t* end_of_twos;
  const int16x2_t* end;
} Columns;

static inline Columns columns_of(const int16x2_t* begin, int32_t k, int32_t pixels) {
  const int32_t blocks = (k + 3) / 4;
  const int32_t words = 2 * pixels;  // of a block
  return (Columns){begin, begin + blocks / 2 * 2 * words, begin + blocks * words};
}

// One pixel: sums[0] and sums[1].
ALWAYS_INLINE const int8_t* multiply_2x1(const int8_t* weights, const Columns* columns, int32_t a,
                                         int32_t b, int32_t* sums) {
  const int16x2_t* column = columns->begin;
  const int16x2_t* const end = columns->end;
  const int16x2_t* const end_of_twos = columns->end_of_twos;
  if (column != end_of_twos) {
    __asm__ volatile(
        "1: ldm %[weights]!, {r4, r5, r6, r8}\n"
        "ldm %[column]!, {r9, r10, r11, r12}\n"
        "sxtb16 lr, r4\n"
        "smlad %[a], lr, r9, %[a]\n"
        "sxtb16 lr, r5\n"
        "smlad %[b], lr, r9, %[b]\n"
        "sxtb16 r4, r4, ror #8\n"
        "smlad %[a], r4, r10, %[a]\n"
        "sxtb16 r5, r5, ror #8\n"
        "smlad %[b], r5, r10, %[b]\n"
        "sxtb16 lr, r6\n"
        "smlad %[a], lr, r11, %[a]\n"
        "sxtb16 lr, r8\n"
        "smlad %[b], lr, r11, %[b]\n"
        "sxtb16 r6, r6, ror #8\n"
        "smlad %[a], r6, r12, %[a]\n"
        "sxtb16 r8, r8, ror #8\n"
        "smlad %[b], r8, r12, %[b]\n"
        "cmp %[column], %[end]\n"
        "bne 1b"
        : [a] "+r"(a), [b] "+r"(b), [weights] "+r"(weights), [column] "+r"(column)
        : [end] "r"(end_of_twos)
        : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
  }
  if (column != end) {
    const uint32_t word_a = load_weights(weights), word_b = load_weights(weights + 4);
    weights += 8;
    a = __smlad(even_bytes(word_a), column[0], a);
    b = __smlad(even_bytes(word_b), column[0], b);
    a = __smlad(odd_bytes(word_a), column[1], a);
    b = __smlad(odd_bytes(word_b), column[1], b);
  }
  sums[0] = a;
  sums[1] = b;
  return weights;
}

// Two pixels: sums[0] and sums[1] of the first row, sums[2] and sums[3] of the second.
ALWAYS_INLINE const int8_t* multiply_2x2(const int8_t* weights, const Columns* columns, int32_t a,
                                         int32_t b, int32_t* sums) {
  int32_t a0 = a, a1 = a, b0 = b, b1 = b;
  const int16x2_t* column = columns->begin;
  const int16x2_t* const end = columns->end;
  do {
    const uint32_t word_a = load_weights(weights), word_b = load_weights(weights + 4);
    weights += 8;
    int16x2_t wide_a = even_bytes(word_a), wide_b = even_bytes(word_b);
    a0 = __smlad(wide_a, column[0], a0);
    a1 = __smlad(wide_a, column[1], a1);
    b0 = __smlad(wide_b, column[0], b0);
    b1 = __smlad(wide_b, column[1], b1);
    wide_a = odd_bytes(word_a);
    wide_b = odd_bytes(word_b);
    a0 = __smlad(wide_a, column[2], a0);
    a1 = __smlad(wide_a, column[3], a1);
    b0 = __smlad(wide_b, column[2], b0);
    b1 = __smlad(wide_b, column[3], b1);
    column += 4;
  } while (column != end);
  sums[0] = a0;
  sums[1] = a1;
  sums[2] = b0;
  sums[3] = b1;
  return weights;
}

#endif  // FIRMWARE_LIB_KERNELS_DSP_MULTIPLY_H_
