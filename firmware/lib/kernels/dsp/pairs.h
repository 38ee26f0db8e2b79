// The beginning of a multiplication of pairs of weight rows, the same for every schedule of its
// loop. The stack holds, in words from sp on:
//
//    0  multiplier, addend and shift (SimpleRequant) of the first row
//    3  middle of the table
//    4  output of the batch
//    5  bytes from one pixel's outputs to the next one's
//    6  multiplier, addend and shift of the second row
//    9  biases of both rows
//   11  widened weights, and their end
//   13  where the loop is entered
//   14  end of the outputs
//   15  bytes from the second row's first output to the next batch's
//   16  columns of the batch
//   17  two words for the schedule
//   19  multipliers, shifts, biases and weights of the next pair
//   23  2 * zero_point + 1
//   24  pairs left
//   25  output of the next pair
//   26  bytes of the outputs
//   27  widened weights
//   28  columns
//   29  blocks
#ifndef FIRMWARE_LIB_KERNELS_DSP_PAIRS_H_
#define FIRMWARE_LIB_KERNELS_DSP_PAIRS_H_

// clang-format off
// Of Pairs at r0. Leaves where weights are widened to in r9, and in r6 the blocks, negated, modulo 4.
#define BEGIN_PAIRS                                 \
  "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"   \
  "sub sp, #124\n"                                  \
  "ldm r0!, {r1, r2}\n"                             \
  "add r3, r2, r2, lsl #1\n"                        \
  "sub r3, r3, #1\n"                                \
  "str r1, [sp, #12]\n"                             \
  "str r2, [sp, #20]\n"                             \
  "str r3, [sp, #60]\n"                             \
  "ldm r0, {r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11}\n" \
  "add r12, sp, #76\n"                              \
  "stm r12, {r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11}\n" \
  "add r1, r9, r11, lsl #4\n"                       \
  "rsb r6, r11, #0\n"                               \
  "str r1, [sp, #48]\n"                             \
  "and r6, r6, #3\n"

// Requantization, biases, outputs and columns of the next pair. Leaves its weights in r0 and where
// they are widened to in r1.
#define BEGIN_PAIR            \
  "ldr r0, [sp, #76]\n"       \
  "ldr r3, [sp, #80]\n"       \
  "ldr r9, [sp, #84]\n"       \
  "ldr r6, [sp, #92]\n"       \
  "ldrsb r4, [r3], #1\n"      \
  "ldr r1, [r0], #4\n"        \
  "ldrsb r5, [r3], #1\n"      \
  "ldr r2, [r0], #4\n"        \
  "mvn r7, r4\n"              \
  "str r0, [sp, #76]\n"       \
  "mvn r8, r5\n"              \
  "str r3, [sp, #80]\n"       \
  "lsl r7, r6, r7\n"          \
  "ldr r10, [r9], #4\n"       \
  "lsl r8, r6, r8\n"          \
  "ldr r11, [r9], #4\n"       \
  "rsb r4, r4, #0\n"          \
  "str r9, [sp, #84]\n"       \
  "rsb r5, r5, #0\n"          \
  "str r1, [sp, #0]\n"        \
  "str r7, [sp, #4]\n"        \
  "str r4, [sp, #8]\n"        \
  "str r2, [sp, #24]\n"       \
  "ldr r0, [sp, #100]\n"      \
  "str r8, [sp, #28]\n"       \
  "ldr r1, [sp, #104]\n"      \
  "str r5, [sp, #32]\n"       \
  "ldr r2, [sp, #112]\n"      \
  "str r10, [sp, #36]\n"      \
  "add r1, r0, r1\n"          \
  "str r11, [sp, #40]\n"      \
  "add r3, r0, #2\n"          \
  "str r0, [sp, #16]\n"       \
  "ldr r0, [sp, #88]\n"       \
  "str r1, [sp, #56]\n"       \
  "ldr r1, [sp, #108]\n"      \
  "str r3, [sp, #100]\n"      \
  "str r2, [sp, #64]\n"

// The last block of an odd number of them.
#define WIDEN_BLOCK           \
  "ldr r4, [r0], #4\n"        \
  "ldr r5, [r0], #4\n"        \
  "sxtb16 r6, r4\n"           \
  "str r6, [r1]\n"            \
  "sxtb16 r7, r5\n"           \
  "str r7, [r1, #4]\n"        \
  "sxtb16 r4, r4, ror #8\n"   \
  "str r4, [r1, #8]\n"        \
  "sxtb16 r5, r5, ror #8\n"   \
  "str r5, [r1, #12]\n"

#define END_PAIRS \
  "ldr r0, [sp, #96]\n"       \
  "subs r0, r0, #1\n"         \
  "str r0, [sp, #96]\n"       \
  "bne 1b\n"                  \
  "add sp, #124\n"            \
  "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n"
// clang-format on

#endif  // FIRMWARE_LIB_KERNELS_DSP_PAIRS_H_
