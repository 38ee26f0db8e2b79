// Products of a pair of weight rows with one, two or three columns, the heart of every convolution
// here. A word of four int8 is widened by SXTB16 to two pairs of int16, the even bytes and
// (rotated) the odd ones; done to weights and inputs alike the pairs match without reordering.
//
// Weights   [blocks][2][4]: four weights of the first row, four of the second.
// Columns   [blocks][2][P] words: the even pairs of P pixels, then their odd pairs.
#ifndef FIRMWARE_LIB_KERNELS_DSP_MULTIPLY_H_
#define FIRMWARE_LIB_KERNELS_DSP_MULTIPLY_H_

#include <arm_acle.h>
#include <stdint.h>

#include "words.h"

enum { kMaxPixels = 3 };

// The bytes of a pair of weight rows, and of those blocks of it that come in twos.
typedef struct {
  int32_t bytes;
  int32_t bytes_in_pairs;
} Blocks;

static inline Blocks blocks_of(int32_t k) {
  const int32_t blocks = (k + 3) / 4;
  return (Blocks){8 * blocks, 16 * (blocks / 2)};
}

#define ALWAYS_INLINE static inline __attribute__((always_inline))

// sums[row][pixel] += row . column, for the 2 x 1, 2 x 2 and 2 x 3 cases.
ALWAYS_INLINE void multiply_2x1(const int8_t* weights, const int16x2_t* columns, Blocks blocks,
                                int32_t sums[2][kMaxPixels]) {
  int32_t a = sums[0][0], b = sums[1][0];
  const int8_t* const end = weights + blocks.bytes;
  const int8_t* const end_of_pairs = weights + blocks.bytes_in_pairs;
  if (blocks.bytes_in_pairs) {
    __asm__ volatile(
        "1: ldm %[weights]!, {r4, r5, r6, r8}\n"
        "ldm %[columns]!, {r9, r10, r11, r12}\n"
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
        "cmp %[weights], %[end]\n"
        "bne 1b"
        : [a] "+r"(a), [b] "+r"(b), [weights] "+r"(weights), [columns] "+r"(columns)
        : [end] "r"(end_of_pairs)
        : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
  }
  if (weights != end) {
    const uint32_t word_a = load_weights(weights), word_b = load_weights(weights + 4);
    a = __smlad(even_bytes(word_a), columns[0], a);
    b = __smlad(even_bytes(word_b), columns[0], b);
    a = __smlad(odd_bytes(word_a), columns[1], a);
    b = __smlad(odd_bytes(word_b), columns[1], b);
  }
  sums[0][0] = a;
  sums[1][0] = b;
}

ALWAYS_INLINE void multiply_2x2(const int8_t* weights, const int16x2_t* columns, Blocks blocks,
                                int32_t sums[2][kMaxPixels]) {
  int32_t a0 = sums[0][0], a1 = sums[0][1], b0 = sums[1][0], b1 = sums[1][1];
  const int8_t* const end = weights + blocks.bytes;
  do {
    const uint32_t word_a = load_weights(weights), word_b = load_weights(weights + 4);
    weights += 8;
    int16x2_t a = even_bytes(word_a), b = even_bytes(word_b);
    a0 = __smlad(a, columns[0], a0);
    a1 = __smlad(a, columns[1], a1);
    b0 = __smlad(b, columns[0], b0);
    b1 = __smlad(b, columns[1], b1);
    a = odd_bytes(word_a);
    b = odd_bytes(word_b);
    a0 = __smlad(a, columns[2], a0);
    a1 = __smlad(a, columns[3], a1);
    b0 = __smlad(b, columns[2], b0);
    b1 = __smlad(b, columns[3], b1);
    columns += 4;
  } while (weights != end);
  sums[0][0] = a0;
  sums[0][1] = a1;
  sums[1][0] = b0;
  sums[1][1] = b1;
}

// Six sums, two weight words, an unpacked one, three inputs and two pointers fill all 14 registers,
// so the end is compared from the stack; a compiler would spill more than that.
#define MULTIPLY_2X3_BLOCK             \
  "ldrd r8, r9, [%[weights]], #8\n"    \
  "ldm %[columns]!, {r10, r11, r12}\n" \
  "sxtb16 lr, r8\n"                    \
  "smlad %[a0], lr, r10, %[a0]\n"      \
  "smlad %[a1], lr, r11, %[a1]\n"      \
  "smlad %[a2], lr, r12, %[a2]\n"      \
  "sxtb16 lr, r9\n"                    \
  "smlad %[b0], lr, r10, %[b0]\n"      \
  "smlad %[b1], lr, r11, %[b1]\n"      \
  "smlad %[b2], lr, r12, %[b2]\n"      \
  "ldm %[columns]!, {r10, r11, r12}\n" \
  "sxtb16 r8, r8, ror #8\n"            \
  "smlad %[a0], r8, r10, %[a0]\n"      \
  "smlad %[a1], r8, r11, %[a1]\n"      \
  "smlad %[a2], r8, r12, %[a2]\n"      \
  "sxtb16 r9, r9, ror #8\n"            \
  "smlad %[b0], r9, r10, %[b0]\n"      \
  "smlad %[b1], r9, r11, %[b1]\n"      \
  "smlad %[b2], r9, r12, %[b2]\n"

ALWAYS_INLINE void multiply_2x3(const int8_t* weights, const int16x2_t* columns, Blocks blocks,
                                int32_t sums[2][kMaxPixels]) {
  int32_t a0 = sums[0][0], a1 = sums[0][1], a2 = sums[0][2];
  int32_t b0 = sums[1][0], b1 = sums[1][1], b2 = sums[1][2];
  const int8_t* const end = weights + blocks.bytes;
  const int8_t* const end_of_pairs = weights + blocks.bytes_in_pairs;
  __asm__ volatile(
      "ldr lr, %[end_of_pairs]\n"
      "cmp %[weights], lr\n"
      "beq 2f\n"
      "1:\n" MULTIPLY_2X3_BLOCK MULTIPLY_2X3_BLOCK
      "ldr lr, %[end_of_pairs]\n"
      "cmp %[weights], lr\n"
      "bne 1b\n"
      "2: ldr lr, %[end]\n"
      "cmp %[weights], lr\n"
      "beq 3f\n" MULTIPLY_2X3_BLOCK "3:"
      : [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), [b0] "+r"(b0), [b1] "+r"(b1), [b2] "+r"(b2),
        [weights] "+r"(weights), [columns] "+r"(columns)
      : [end] "m"(end), [end_of_pairs] "m"(end_of_pairs)
      : "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
  sums[0][0] = a0;
  sums[0][1] = a1;
  sums[0][2] = a2;
  sums[1][0] = b0;
  sums[1][1] = b1;
  sums[1][2] = b2;
}

#endif  // FIRMWARE_LIB_KERNELS_DSP_MULTIPLY_H_
