// The inner loops for cores that issue two instructions at a time. A multiple load is issued alone,
// so each word is loaded by itself, beside a product, as soon as the last product is done with the
// register it goes to: r8, r10, r11 and r12 hold the next half of a block before it begins, r9 its
// second weight. The six sums are requantized together, so that none waits for its own result.
#include "../dsp/inner_loops.h"

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

__attribute__((naked)) void kernel_multiply_batches(const Batches* batches) {
  (void)batches;
  __asm__ volatile(
      "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"
      "sub sp, #76\n"
      "mov r12, sp\n"
      "ldm r0!, {r1, r2, r3, r4, r5, r6, r7, r8}\n"
      "stm r12!, {r1, r2, r3, r4, r5, r6, r7, r8}\n"
      "ldm r0, {r1, r2, r3, r4, r5, r6, r8, r9, r10}\n"
      "mov r7, r10\n"
      // Weights and columns are counted from where the first of the loop's four blocks would lie.
      "ldr r11, [r4]\n"
      "sub r4, r4, r6, lsl #4\n"
      "add r10, r6, r6, lsl #1\n"
      "lsl r10, r10, #3\n"
      "cmp r6, #3\n"  // the fourth block lies behind the addition to r7
      "it eq\n"
      "subeq r10, r10, #96\n"
      "adr r0, 2f\n"
      "adr lr, 3f\n"
      "sub lr, lr, r0\n"
      "mla r6, lr, r6, r0\n"
      "orr r6, r6, #1\n"  // Thumb
      "add r9, r9, #1\n"  // here the output does not move on from the first row to the second
      "stm r12, {r1, r2, r3, r4, r5, r6, r8, r9}\n"
      "str r10, [sp, #68]\n"
      "str r11, [sp, #72]\n"
      "1:\n"  // biases, weights, and what the loop expects to be loaded
      "ldm r7, {r10, r11, r12}\n"
      "ldr r9, [sp, #68]\n"
      "ldrd r0, r3, [sp, #36]\n"
      "ldrd r6, lr, [sp, #44]\n"
      "mov r1, r0\n"
      "mov r4, r3\n"
      "mov r2, r0\n"
      "mov r5, r3\n"
      "ldr r8, [sp, #72]\n"
      "sub r7, r7, r9\n"
      "ldr pc, [sp, #52]\n"
      ".balign 8\n"
      "2:\n"
      HALF_A_BLOCK(4, "", 8, 12, 16, 20)
      HALF_A_BLOCK(12, "", 16, 24, 28, 32)
      "3:\n"
      HALF_A_BLOCK(20, "", 24, 36, 40, 44)
      HALF_A_BLOCK(28, "", 32, 48, 52, 56)
      HALF_A_BLOCK(36, "", 40, 60, 64, 68)
      HALF_A_BLOCK(44, "add.w r7, r7, #96\n", 48, -24, -20, -16)
      HALF_A_BLOCK(52, "add.w r6, r6, #64\n", -8, -12, -8, -4)
      HALF_A_BLOCK(-4, "cmp r6, lr\n", 0, 0, 4, 8)
      "bne 2b\n"
      "str r7, [sp, #64]\n"
      "ldm sp, {r6, r7, r8, r9, r10}\n"
      "add lr, r7, r2, asr #31\n"
      "add r11, r7, r0, asr #31\n"
      "add r12, r7, r1, asr #31\n"
      "ldr r7, [sp, #28]\n"
      "lsl r0, r0, #1\n"
      "lsl r1, r1, #1\n"
      "smmlar r0, r0, r6, r11\n"
      "lsl r2, r2, #1\n"
      "smmlar r1, r1, r6, r12\n"
      "add r11, r7, r3, asr #31\n"
      "lsl r3, r3, #1\n"
      "smmlar r2, r2, r6, lr\n"
      "add r12, r7, r4, asr #31\n"
      "asr r0, r0, r8\n"
      "asr r2, r2, r8\n"
      "ldr r6, [sp, #24]\n"
      "ssat r2, #8, r2, asr #1\n"
      "add lr, r7, r5, asr #31\n"
      "lsl r5, r5, #1\n"
      "smmlar r3, r3, r6, r11\n"
      "ldr r7, [sp, #20]\n"
      "asr r1, r1, r8\n"
      "ssat r1, #8, r1, asr #1\n"
      "ldrsb r2, [r9, r2]\n"
      "ldr r8, [sp, #32]\n"
      "lsl r4, r4, #1\n"
      "asr r3, r3, r8\n"
      "smmlar r5, r5, r6, lr\n"
      "ssat r0, #8, r0, asr #1\n"
      "smmlar r4, r4, r6, r12\n"
      "asr r5, r5, r8\n"
      "add r6, r10, r7\n"
      "asr r4, r4, r8\n"
      "ldrsb r1, [r9, r1]\n"
      "ssat r4, #8, r4, asr #1\n"
      "ldrsb r0, [r9, r0]\n"
      "ssat r3, #8, r3, asr #1\n"
      "add lr, r10, r7, lsl #1\n"
      "strb r1, [r6]\n"
      "ssat r5, #8, r5, asr #1\n"
      "ldrsb r4, [r9, r4]\n"
      "ldrsb r3, [r9, r3]\n"
      "strb r2, [lr]\n"
      "ldr r7, [sp, #64]\n"
      "strb r0, [r10]\n"
      "ldrsb r5, [r9, r5]\n"
      "strb r3, [r10, #1]\n"
      "ldr r9, [sp, #60]\n"
      "strb r5, [lr, #1]\n"
      "ldr r8, [sp, #56]\n"
      "add r10, r10, r9\n"
      "cmp r10, r8\n"
      "strb r4, [r6, #1]\n"
      "str r10, [sp, #16]\n"
      "bne 1b\n"
      "add sp, #76\n"
      "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n");
}

__attribute__((naked)) void kernel_widen_weights(const int8_t* weights, int16x2_t* wide,
                                                 const int8_t* weights_end) {
  (void)weights, (void)wide, (void)weights_end;
  __asm__ volatile(
      "push {r4, r5, r6, r7, r8, r9, r10, r11}\n"
      ".balign 8\n"
      "1:\n"
      "ldm r0!, {r4, r5, r6, r8}\n"
      "sxtb16 r9, r4\n"
      "str r9, [r1, #0]\n"
      "sxtb16 r10, r5\n"
      "str r10, [r1, #4]\n"
      "sxtb16 r11, r4, ror #8\n"
      "str r11, [r1, #8]\n"
      "sxtb16 r12, r5, ror #8\n"
      "str r12, [r1, #12]\n"
      "sxtb16 r9, r6\n"
      "sxtb16 r10, r8\n"
      "str r10, [r1, #20]\n"
      "sxtb16 r11, r6, ror #8\n"
      "str r11, [r1, #24]\n"
      "sxtb16 r12, r8, ror #8\n"
      "str r12, [r1, #28]\n"
      "cmp r0, r2\n"
      "str r9, [r1, #16]\n"
      "add r1, r1, #32\n"
      "bne 1b\n"
      "pop {r4, r5, r6, r7, r8, r9, r10, r11}\n"
      "bx lr\n");
}

// r0 weights, r1 column, r2 its end, r3 and r7 the sums
__attribute__((naked)) void kernel_multiply_column(const int8_t* weights, const int16x2_t* column,
                                                   const int16x2_t* column_end, int32_t* sums) {
  (void)weights, (void)column, (void)column_end, (void)sums;
  __asm__ volatile(
      "push {r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"
      "ldrd r3, r7, [r3]\n"
      ".balign 8\n"
      "1:\n"
      "ldr r5, [r0, #4]\n"
      "ldr r6, [r0, #8]\n"
      "ldr r4, [r0, #0]\n"
      "ldr r9, [r1, #0]\n"
      "sxtb16 lr, r4\n"
      "ldr r11, [r1, #8]\n"
      "sxtb16 r12, r5\n"
      "ldr r10, [r1, #4]\n"
      "sxtb16 r5, r5, ror #8\n"
      "smlad r7, r12, r9, r7\n"
      "sxtb16 r4, r4, ror #8\n"
      "smlad r3, lr, r9, r3\n"
      "sxtb16 lr, r6\n"
      "smlad r7, r5, r10, r7\n"
      "ldr r8, [r0, #12]\n"
      "smlad r3, r4, r10, r3\n"
      "sxtb16 r12, r8\n"
      "ldr r9, [r1, #12]\n"
      "sxtb16 r6, r6, ror #8\n"
      "smlad r3, lr, r11, r3\n"
      "sxtb16 r8, r8, ror #8\n"
      "add r1, r1, #16\n"
      "add r0, r0, #16\n"
      "smlad r7, r12, r11, r7\n"
      "cmp r1, r2\n"
      "smlad r7, r8, r9, r7\n"
      "smlad r3, r6, r9, r3\n"
      "bne 1b\n"
      "ldr r0, [sp]\n"
      "strd r3, r7, [r0]\n"
      "pop {r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}\n");
}
