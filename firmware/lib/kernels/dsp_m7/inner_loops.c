// The inner loops for cores that issue two instructions at a time. A multiple load is issued alone,
// so each word is loaded by itself, beside a product, as soon as its register is no longer needed:
// r8, r10, r11 and r12 hold the next half of a block before it begins, r9 its second weight. The
// six sums are requantized together, so that no instruction waits for the one before it.
#include "../dsp/inner_loops.h"

#include "../dsp/pairs.h"
#include "../dsp/pixel.h"

// r0-r2, r3-r5  sums of the first and the second row     r6  weights     lr  their end
// r8, r9        a pair of weights of each                r7  columns
// r10-r12       a pair of inputs of each pixel
//
// A product and the load beside it; `spare` has room for another instruction. The numbers say where
// words lie from r6 and r7 on: the second weight, then the first weight and the inputs of the next
// half.
#define HALF_A_BLOCK(second, spare, next_first, next0, next1, next2) \
  "smlad r0, r8, r10, r0\n"                                          \
  "ldr r9, [r6, #" #second                                           \
  "]\n"                                                              \
  "smlad r1, r8, r11, r1\n" spare                                    \
  "smlad r2, r8, r12, r2\n"                                          \
  "ldr r8, [r6, #" #next_first                                       \
  "]\n"                                                              \
  "smlad r3, r9, r10, r3\n"                                          \
  "ldr r10, [r7, #" #next0                                           \
  "]\n"                                                              \
  "smlad r4, r9, r11, r4\n"                                          \
  "ldr r11, [r7, #" #next1                                           \
  "]\n"                                                              \
  "smlad r5, r9, r12, r5\n"                                          \
  "ldr r12, [r7, #" #next2 "]\n"

// Biases, weights, and the values that the loop expects in registers.
// clang-format off
#define BEGIN_BATCH     \
  "ldr r9, [sp, #68]\n" \
  "ldr r7, [sp, #64]\n" \
  "ldr r0, [sp, #36]\n" \
  "ldr r3, [sp, #40]\n" \
  "mov r5, r3\n"        \
  "ldr r12, [r7, #8]\n" \
  "mov r1, r0\n"        \
  "ldr r6, [sp, #44]\n" \
  "ldr lr, [sp, #48]\n" \
  "ldr r10, [r7, #0]\n" \
  "mov r2, r0\n"        \
  "mov r4, r3\n"        \
  "ldr r11, [r7, #4]\n" \
  "sub r7, r7, r9\n"    \
  "ldr r8, [sp, #72]\n"

// The six sums requantized (see requantize.h) and stored, with a table and without.
#define LOOK_UP_AND_STORE_BATCH  \
  "str r7, [sp, #64]\n"          \
  "ldr r9, [sp, #12]\n"          \
  "ldr r7, [sp, #4]\n"           \
  "ldr r6, [sp, #0]\n"           \
  "ldr r8, [sp, #8]\n"           \
  "add r11, r7, r0, asr #31\n"   \
  "add r0, r0, r0\n"             \
  "add r12, r7, r1, asr #31\n"   \
  "add r1, r1, r1\n"             \
  "add lr, r7, r2, asr #31\n"    \
  "smmlar r1, r1, r6, r12\n"     \
  "ldr r10, [sp, #16]\n"         \
  "smmlar r0, r0, r6, r11\n"     \
  "ldr r7, [sp, #28]\n"          \
  "asr r1, r1, r8\n"             \
  "add r2, r2, r2\n"             \
  "asr r0, r0, r8\n"             \
  "ssat r1, #8, r1\n"            \
  "smmlar r2, r2, r6, lr\n"      \
  "ssat r0, #8, r0\n"            \
  "ldr r6, [sp, #24]\n"          \
  "asr r2, r2, r8\n"             \
  "ssat r2, #8, r2\n"            \
  "ldrsb r1, [r9, r1]\n"         \
  "add r11, r7, r3, asr #31\n"   \
  "ldr r8, [sp, #32]\n"          \
  "add r12, r7, r4, asr #31\n"   \
  "add r3, r3, r3\n"             \
  "add r4, r4, r4\n"             \
  "ldrsb r2, [r9, r2]\n"         \
  "smmlar r3, r3, r6, r11\n"     \
  "ldrsb r0, [r9, r0]\n"         \
  "add lr, r7, r5, asr #31\n"    \
  "smmlar r4, r4, r6, r12\n"     \
  "add r5, r5, r5\n"             \
  "strb r0, [r10]\n"             \
  "asr r4, r4, r8\n"             \
  "smmlar r5, r5, r6, lr\n"      \
  "ldr r6, [sp, #20]\n"          \
  "asr r3, r3, r8\n"             \
  "ssat r3, #8, r3\n"            \
  "ssat r4, #8, r4\n"            \
  "strb r1, [r10, r6]\n"         \
  "asr r5, r5, r8\n"             \
  "ldr r7, [sp, #60]\n"          \
  "ssat r5, #8, r5\n"            \
  "strb r2, [r10, r6, lsl #1]\n" \
  "add r10, r10, #1\n"           \
  "ldr r8, [sp, #56]\n"          \
  "ldrsb r4, [r9, r4]\n"         \
  "ldrsb r3, [r9, r3]\n"         \
  "strb r4, [r10, r6]\n"         \
  "ldrsb r5, [r9, r5]\n"         \
  "strb r5, [r10, r6, lsl #1]\n" \
  "strb r3, [r10]\n"             \
  "add r10, r10, r7\n"           \
  "str r10, [sp, #16]\n"         \
  "cmp r10, r8\n"
#define STORE_BATCH              \
  "str r7, [sp, #64]\n"          \
  "ldr r7, [sp, #4]\n"           \
  "ldr r8, [sp, #8]\n"           \
  "ldr r6, [sp, #0]\n"           \
  "ldr r10, [sp, #16]\n"         \
  "add r11, r7, r0, asr #31\n"   \
  "add r0, r0, r0\n"             \
  "add lr, r7, r2, asr #31\n"    \
  "smmlar r0, r0, r6, r11\n"     \
  "add r12, r7, r1, asr #31\n"   \
  "add r1, r1, r1\n"             \
  "asr r0, r0, r8\n"             \
  "smmlar r1, r1, r6, r12\n"     \
  "add r2, r2, r2\n"             \
  "ldr r7, [sp, #28]\n"          \
  "ssat r0, #8, r0\n"            \
  "smmlar r2, r2, r6, lr\n"      \
  "asr r1, r1, r8\n"             \
  "ldr r6, [sp, #24]\n"          \
  "asr r2, r2, r8\n"             \
  "ldr r8, [sp, #32]\n"          \
  "add r11, r7, r3, asr #31\n"   \
  "add r3, r3, r3\n"             \
  "ssat r1, #8, r1\n"            \
  "smmlar r3, r3, r6, r11\n"     \
  "add r12, r7, r4, asr #31\n"   \
  "strb r0, [r10]\n"             \
  "add lr, r7, r5, asr #31\n"    \
  "add r4, r4, r4\n"             \
  "add r5, r5, r5\n"             \
  "smmlar r4, r4, r6, r12\n"     \
  "ssat r2, #8, r2\n"            \
  "smmlar r5, r5, r6, lr\n"      \
  "ldr r6, [sp, #20]\n"          \
  "asr r3, r3, r8\n"             \
  "asr r4, r4, r8\n"             \
  "ldr r7, [sp, #60]\n"          \
  "asr r5, r5, r8\n"             \
  "strb r1, [r10, r6]\n"         \
  "ssat r4, #8, r4\n"            \
  "strb r2, [r10, r6, lsl #1]\n" \
  "add r10, r10, #1\n"           \
  "ldr r8, [sp, #56]\n"          \
  "ssat r3, #8, r3\n"            \
  "ssat r5, #8, r5\n"            \
  "strb r3, [r10]\n"             \
  "strb r4, [r10, r6]\n"         \
  "strb r5, [r10, r6, lsl #1]\n" \
  "add r10, r10, r7\n"           \
  "str r10, [sp, #16]\n"         \
  "cmp r10, r8\n"

#define MULTIPLY_PAIRS(finish_batch)                              \
  __asm__ volatile(BEGIN_PAIRS                                    \
      /* Weights and columns are counted from where the first of the loop's four blocks would lie. */ \
      "sub r4, r9, r6, lsl #4\n"                                  \
      "add r7, r6, r6, lsl #1\n"                                  \
      "lsl r7, r7, #3\n"                                          \
      "cmp r6, #3\n" /* the fourth block lies behind the addition to r7 */ \
      "it eq\n"                                                   \
      "subeq r7, r7, #96\n"                                       \
      "adr r0, 5f\n"                                              \
      "adr lr, 6f\n"                                              \
      "sub lr, lr, r0\n"                                          \
      "mla r6, lr, r6, r0\n"                                      \
      "orr r6, r6, #1\n" /* Thumb */                              \
      "str r4, [sp, #44]\n"                                       \
      "str r6, [sp, #52]\n"                                       \
      "str r7, [sp, #68]\n"                                       \
      "1:\n" BEGIN_PAIR                                           \
      "ldr r2, [sp, #116]\n"                                      \
      "asrs r3, r2, #1\n"                                         \
      "beq 3f\n"                                                  \
      "2: ldr r4, [r0]\n"                                         \
      "ldr r5, [r0, #4]\n"                                        \
      "ldr r6, [r0, #8]\n"                                        \
      "ldr r7, [r0, #12]\n"                                       \
      "add r0, r0, #16\n"                                         \
      "sxtb16 r8, r4\n"                                           \
      "str r8, [r1]\n"                                            \
      "sxtb16 r12, r5\n"                                          \
      "str r12, [r1, #4]\n"                                       \
      "sxtb16 r4, r4, ror #8\n"                                   \
      "str r4, [r1, #8]\n"                                        \
      "sxtb16 r5, r5, ror #8\n"                                   \
      "str r5, [r1, #12]\n"                                       \
      "sxtb16 r9, r6\n"                                           \
      "str r9, [r1, #16]\n"                                       \
      "sxtb16 r10, r7\n"                                          \
      "str r10, [r1, #20]\n"                                      \
      "sxtb16 r6, r6, ror #8\n"                                   \
      "str r6, [r1, #24]\n"                                       \
      "sxtb16 r7, r7, ror #8\n"                                   \
      "subs r3, r3, #1\n"                                         \
      "str r7, [r1, #28]\n"                                       \
      "add r1, r1, #32\n"                                         \
      "bne 2b\n"                                                  \
      "3: lsls r2, r2, #31\n"                                     \
      "beq 4f\n" WIDEN_BLOCK                                      \
      "4: ldr r3, [sp, #108]\n"                                   \
      "str r0, [sp, #88]\n"                                       \
      "ldr r3, [r3]\n"                                            \
      "str r3, [sp, #72]\n"                                       \
      "7:\n" BEGIN_BATCH                                          \
      "ldr pc, [sp, #52]\n"                                       \
      ".balign 8\n"                                               \
      "5:\n"                                                      \
      HALF_A_BLOCK(4, "", 8, 12, 16, 20)                          \
      HALF_A_BLOCK(12, "", 16, 24, 28, 32)                        \
      "6:\n"                                                      \
      HALF_A_BLOCK(20, "", 24, 36, 40, 44)                        \
      HALF_A_BLOCK(28, "", 32, 48, 52, 56)                        \
      HALF_A_BLOCK(36, "", 40, 60, 64, 68)                        \
      HALF_A_BLOCK(44, "add.w r7, r7, #96\n", 48, -24, -20, -16)  \
      HALF_A_BLOCK(52, "add.w r6, r6, #64\n", -8, -12, -8, -4)    \
      HALF_A_BLOCK(-4, "cmp r6, lr\n", 0, 0, 4, 8)                \
      "bne 5b\n" finish_batch                                     \
      "bne 7b\n" END_PAIRS)
// clang-format on

__attribute__((naked)) void kernel_multiply_pairs(const Pairs* pairs) {
  (void)pairs;
  MULTIPLY_PAIRS(STORE_BATCH);
}

__attribute__((naked)) void kernel_multiply_pairs_with_table(const Pairs* pairs) {
  (void)pairs;
  MULTIPLY_PAIRS(LOOK_UP_AND_STORE_BATCH);
}

__attribute__((naked)) void kernel_multiply_pixel(const Pairs* pairs) {
  (void)pairs;
  __asm__ volatile(BEGIN_PIXEL
                   "ldr r7, [r0]\n"
                   "ldr r9, [r1]\n"
                   "sxtb16 r11, r9\n"
                   "ldr r8, [r0, #4]\n"
                   "sxtb16 r9, r9, ror #8\n"
                   "ldr r10, [r1, #4]\n"
                   "sxtb16 r12, r10\n"
                   "smlad r3, r11, r7, r3\n"
                   "sxtb16 r10, r10, ror #8\n"
                   "smlad r3, r9, r8, r3\n"
                   "ldr r9, [r2]\n"
                   "smlad r4, r12, r7, r4\n"
                   "sxtb16 r11, r9\n"
                   "smlad r4, r10, r8, r4\n"
                   "sxtb16 r9, r9, ror #8\n"
                   "ldr r10, [r2, #4]\n"
                   "sxtb16 r12, r10\n"
                   "smlad r5, r11, r7, r5\n"
                   "sxtb16 r10, r10, ror #8\n"
                   "smlad r5, r9, r8, r5\n"
                   "ldr r9, [r1, #8]\n"
                   "smlad r6, r12, r7, r6\n"
                   "sxtb16 r11, r9\n"
                   "smlad r6, r10, r8, r6\n"
                   "ldr r7, [r0, #8]\n"
                   "ldr r8, [r0, #12]\n"
                   "add r0, r0, #16\n"
                   "ldr r10, [r1, #12]\n"
                   "sxtb16 r9, r9, ror #8\n"
                   "smlad r3, r11, r7, r3\n"
                   "sxtb16 r12, r10\n"
                   "smlad r3, r9, r8, r3\n"
                   "sxtb16 r10, r10, ror #8\n"
                   "smlad r4, r12, r7, r4\n"
                   "ldr r9, [r2, #8]\n"
                   "smlad r4, r10, r8, r4\n"
                   "sxtb16 r11, r9\n"
                   "ldr r10, [r2, #12]\n"
                   "sxtb16 r12, r10\n"
                   "smlad r5, r11, r7, r5\n"
                   "sxtb16 r10, r10, ror #8\n"
                   "smlad r6, r12, r7, r6\n"
                   "add r2, r2, #16\n"
                   "cmp r0, lr\n"
                   "sxtb16 r9, r9, ror #8\n"
                   "smlad r6, r10, r8, r6\n"
                   "add r1, r1, #16\n"
                   "smlad r5, r9, r8, r5\n"
                   "bne 3b\n" END_PIXEL);
}
