// The inner loops for cores that issue one instruction at a time. A load takes two cycles, but only
// one if another load follows it; a multiple load takes one more than it has registers.
#include "inner_loops.h"

#include "pairs.h"
#include "pixel.h"

// r0-r2, r3-r5  sums of the first and the second row     r6  weights     lr  their end
// r8, r9        a pair of weights of each                r7  columns
// r10-r12       a pair of inputs of each pixel
#define HALF_A_BLOCK        \
  "ldr r8, [r6], #8\n"      \
  "ldr r10, [r7], #12\n"    \
  "ldr r9, [r6, #-4]\n"     \
  "ldr r11, [r7, #-8]\n"    \
  "ldr r12, [r7, #-4]\n"    \
  "smlad r0, r8, r10, r0\n" \
  "smlad r1, r8, r11, r1\n" \
  "smlad r2, r8, r12, r2\n" \
  "smlad r3, r9, r10, r3\n" \
  "smlad r4, r9, r11, r4\n" \
  "smlad r5, r9, r12, r5\n"

// requantize_simple of `sum` (see requantize.h) and its store. r8 is the multiplier, r9 the addend,
// r10 the shift, r11 the middle of the table, r12 the output, lr the distance of pixels, r6 spare.
// clang-format off
#define STORE_SUM(sum, address)        \
  "add r6, r9, " sum ", asr #31\n"     \
  "add " sum ", " sum ", " sum "\n"    \
  "smmlar " sum ", " sum ", r8, r6\n"  \
  "asr " sum ", " sum ", r10\n"        \
  "ssat " sum ", #8, " sum "\n"        \
  "strb " sum ", [" address "]\n"
#define LOOK_UP_AND_STORE_SUM(sum, address) \
  "add r6, r9, " sum ", asr #31\n"          \
  "add " sum ", " sum ", " sum "\n"         \
  "smmlar " sum ", " sum ", r8, r6\n"       \
  "asr " sum ", " sum ", r10\n"             \
  "ssat " sum ", #8, " sum "\n"             \
  "ldrsb " sum ", [r11, " sum "]\n"         \
  "strb " sum ", [" address "]\n"

#define MULTIPLY_PAIRS(store_sum)                                     \
  __asm__ volatile(BEGIN_PAIRS                                        \
      "adr r0, 5f\n"                                                  \
      "adr r10, 6f\n"                                                 \
      "sub r10, r10, r0\n"                                            \
      "mla r6, r10, r6, r0\n"                                         \
      "orr r6, r6, #1\n" /* Thumb */                                  \
      "str r6, [sp, #52]\n"                                           \
      "str r9, [sp, #44]\n"                                           \
      "1:\n" BEGIN_PAIR                                               \
      "ldr r2, [sp, #116]\n"                                          \
      "asrs r3, r2, #1\n"                                             \
      "beq 3f\n"                                                      \
      "2: ldm r0!, {r4, r5, r6, r8}\n"                                \
      "subs r3, r3, #1\n"                                             \
      "sxtb16 r9, r4\n"                                               \
      "sxtb16 r10, r5\n"                                              \
      "sxtb16 r11, r4, ror #8\n"                                      \
      "sxtb16 r12, r5, ror #8\n"                                      \
      "stm r1!, {r9, r10, r11, r12}\n"                                \
      "sxtb16 r9, r6\n"                                               \
      "sxtb16 r10, r8\n"                                              \
      "sxtb16 r11, r6, ror #8\n"                                      \
      "sxtb16 r12, r8, ror #8\n"                                      \
      "stm r1!, {r9, r10, r11, r12}\n"                                \
      "bne 2b\n"                                                      \
      "3: lsls r2, r2, #31\n"                                         \
      "beq 4f\n" WIDEN_BLOCK                                          \
      "4: str r0, [sp, #88]\n"                                        \
      "ldr r7, [sp, #112]\n"                                          \
      "7: ldrd r0, r3, [sp, #36]\n" /* biases */                      \
      "mov r1, r0\n"                                                  \
      "mov r2, r0\n"                                                  \
      "mov r4, r3\n"                                                  \
      "mov r5, r3\n"                                                  \
      "ldrd r6, lr, [sp, #44]\n" /* weights */                        \
      "ldr pc, [sp, #52]\n"                                           \
      ".balign 4\n"                                                   \
      "5:\n" HALF_A_BLOCK HALF_A_BLOCK                                \
      "6:\n" HALF_A_BLOCK HALF_A_BLOCK HALF_A_BLOCK HALF_A_BLOCK HALF_A_BLOCK HALF_A_BLOCK \
      "cmp r6, lr\n"                                                  \
      "bne 5b\n"                                                      \
      "ldm sp, {r8, r9, r10, r11, r12, lr}\n"                         \
      store_sum("r0", "r12")                                          \
      store_sum("r1", "r12, lr")                                      \
      store_sum("r2", "r12, lr, lsl #1")                              \
      "ldrd r8, r9, [sp, #24]\n"                                      \
      "ldr r10, [sp, #32]\n"                                          \
      "add r12, #1\n"                                                 \
      store_sum("r3", "r12")                                          \
      store_sum("r4", "r12, lr")                                      \
      store_sum("r5", "r12, lr, lsl #1")                              \
      "ldrd r8, r9, [sp, #56]\n" /* out_end, next_batch */            \
      "add r12, r9\n"                                                 \
      "str r12, [sp, #16]\n"                                          \
      "cmp r12, r8\n"                                                 \
      "bne 7b\n" END_PAIRS)
// clang-format on

__attribute__((naked)) void kernel_multiply_pairs(const Pairs* pairs) {
  (void)pairs;
  MULTIPLY_PAIRS(STORE_SUM);
}

__attribute__((naked)) void kernel_multiply_pairs_with_table(const Pairs* pairs) {
  (void)pairs;
  MULTIPLY_PAIRS(LOOK_UP_AND_STORE_SUM);
}

// Two blocks of four channels.
// clang-format off
__attribute__((naked)) void kernel_multiply_pixel(const Pairs* pairs) {
  (void)pairs;
  __asm__ volatile(BEGIN_PIXEL
      "ldr r7, [r0], #4\n"
      "ldr r8, [r0], #4\n"
      MULTIPLY_BLOCK("r1", "r3", "r4")
      MULTIPLY_BLOCK("r2", "r5", "r6")
      "ldr r7, [r0], #4\n"
      "ldr r8, [r0], #4\n"
      MULTIPLY_BLOCK("r1", "r3", "r4")
      MULTIPLY_BLOCK("r2", "r5", "r6")
      "cmp r0, lr\n"
      "bne 3b\n" END_PIXEL);
}
// clang-format on
