// All pairs of weight rows times three columns, each sum requantised, looked up and stored: where
// most of a network's instructions go. See multiply.h for how weights and columns lie.
//
// Written out because six sums, two weight words, an unpacked one, three inputs and two pointers
// fill all 14 registers of the inner loop, so that everything else has to wait on the stack; a
// compiler moves more than half as much again. Four blocks follow each other without a test: the
// loop is entered so far into them that it ends at the end of the columns.
#ifndef FIRMWARE_LIB_KERNELS_DSP_MULTIPLY_THREE_H_
#define FIRMWARE_LIB_KERNELS_DSP_MULTIPLY_THREE_H_

#include <arm_acle.h>
#include <stdint.h>

// Read, and from there on kept on the stack, by multiply_three.
typedef struct {
  const int32_t* multiplier;
  const int8_t* shift;
  int8_t* out;
  int32_t cout;  // bytes from one pixel's outputs to the next one's
  const int8_t* middle_of_table;
  int32_t odd_zero_point;  // 2 * zero_point + 1
  const int16x2_t* columns;
  const int32_t* bias;
  const int16x2_t* columns_end;
  const int8_t* out_end;  // of the first pixel
  const int8_t* weights;
  int32_t first_block;  // in the loop of four: -blocks modulo 4
} Three;

// r0-r2, r3-r5  sums of the first and the second row     r6  weights
// r8, r9        their words of weights                   r7  columns
// r10-r12       a pair of inputs of each pixel           lr  a pair of weights
#define BLOCK_OF_THREE         \
  "ldrd r8, r9, [r6], #8\n"    \
  "ldm r7!, {r10, r11, r12}\n" \
  "sxtb16 lr, r8\n"            \
  "smlad r0, lr, r10, r0\n"    \
  "smlad r1, lr, r11, r1\n"    \
  "smlad r2, lr, r12, r2\n"    \
  "sxtb16 lr, r9\n"            \
  "smlad r3, lr, r10, r3\n"    \
  "smlad r4, lr, r11, r4\n"    \
  "smlad r5, lr, r12, r5\n"    \
  "ldm r7!, {r10, r11, r12}\n" \
  "sxtb16 r8, r8, ror #8\n"    \
  "smlad r0, r8, r10, r0\n"    \
  "smlad r1, r8, r11, r1\n"    \
  "smlad r2, r8, r12, r2\n"    \
  "sxtb16 r9, r9, ror #8\n"    \
  "smlad r3, r9, r10, r3\n"    \
  "smlad r4, r9, r11, r4\n"    \
  "smlad r5, r9, r12, r5\n"

// requantize_simple of `sum` (see requantize.h), table and store. r6 is the addend, r8 spare, r9
// the output, r10 the distance of pixels, r11 the middle of the table.
#define STORE_OF_THREE(sum, multiplier, shift, address) \
  "add r8, r6, " sum                                    \
  ", asr #31\n"                                         \
  "lsl " sum ", " sum                                   \
  ", #1\n"                                              \
  "smmlar " sum ", " sum ", " multiplier                \
  ", r8\n"                                              \
  "asr " sum ", " sum ", " shift                        \
  "\n"                                                  \
  "ssat " sum ", #8, " sum                              \
  ", asr #1\n"                                          \
  "ldrsb " sum ", [r11, " sum                           \
  "]\n"                                                 \
  "strb " sum ", [" address "]\n"

// For layers that are simple; a channel whose shift is 0 gets a wrong byte.
static __attribute__((naked, noinline)) void multiply_three(const Three* three) {
  (void)three;
  __asm__ volatile(
      "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"
      "sub sp, #60\n"
      "ldm r0!, {r1, r2, r3, r4, r5, r6, r7, r8}\n"
      "stm sp, {r1, r2, r3, r4, r5, r6, r7, r8}\n"
      "ldm r0, {r1, r2, r6, r7}\n"
      "adr r3, 2f\n"
      "adr r4, 3f\n"
      "sub r4, r4, r3\n"
      "mla r3, r4, r7, r3\n"
      "orr r3, r3, #1\n"             // Thumb
      "strd r1, r2, [sp, #32]\n"     // columns_end, out_end
      "str r3, [sp, #40]\n"          // where the loop is entered
      "1: ldrd r7, r8, [sp, #24]\n"  // columns, bias
      "ldrd r0, r3, [r8], #8\n"
      "str r8, [sp, #28]\n"
      "mov r1, r0\n"
      "mov r2, r0\n"
      "mov r4, r3\n"
      "mov r5, r3\n"
      "ldr pc, [sp, #40]\n"
      ".balign 4\n"
      "2:\n" BLOCK_OF_THREE
      "3:\n" BLOCK_OF_THREE BLOCK_OF_THREE BLOCK_OF_THREE
      "ldr lr, [sp, #32]\n"
      "cmp r7, lr\n"
      "bne 2b\n"
      "str r6, [sp, #44]\n"
      "strd r4, r5, [sp, #48]\n"
      "ldm sp, {r7, r8, r9, r10, r11, r12}\n"
      "ldrd lr, r4, [r7], #8\n"  // multipliers
      "ldrsb r5, [r8], #1\n"     // shifts
      "str r7, [sp]\n"
      "ldrsb r7, [r8], #1\n"
      "str r8, [sp, #4]\n"
      "mvn r5, r5\n"
      "mvn r7, r7\n"
      "lsl r6, r12, r5\n"
      STORE_OF_THREE("r0", "lr", "r5", "r9")
      STORE_OF_THREE("r1", "lr", "r5", "r9, r10")
      STORE_OF_THREE("r2", "lr", "r5", "r9, r10, lsl #1")
      "ldrd r1, r2, [sp, #48]\n"
      "add r9, #1\n"
      "lsl r6, r12, r7\n"
      STORE_OF_THREE("r3", "r4", "r7", "r9")
      STORE_OF_THREE("r1", "r4", "r7", "r9, r10")
      STORE_OF_THREE("r2", "r4", "r7", "r9, r10, lsl #1")
      "add r9, #1\n"
      "str r9, [sp, #8]\n"
      "ldr r8, [sp, #36]\n"
      "ldr r6, [sp, #44]\n"
      "cmp r9, r8\n"
      "bne 1b\n"
      "add sp, #60\n"
      "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n");
}

#endif  // FIRMWARE_LIB_KERNELS_DSP_MULTIPLY_THREE_H_
