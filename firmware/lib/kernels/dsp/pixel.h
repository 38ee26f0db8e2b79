// The multiplication of a single pixel without its loop, the same for every schedule of the loop:
// four channels, two pairs of weight rows, at a time. In the loop:
//
//   r0  column, contiguous, up to lr      r3 - r6  sums
//   r1  weights of the first pair         r7 - r12 spare
//   r2  those of the second pair
//
// The stack holds a Pairs. Where a second pair is missing, the first is taken twice.
#ifndef FIRMWARE_LIB_KERNELS_DSP_PIXEL_H_
#define FIRMWARE_LIB_KERNELS_DSP_PIXEL_H_

// clang-format off
#define BEGIN_PIXEL                                                \
  "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"                  \
  "sub sp, #52\n"                                                  \
  "mov r12, sp\n"                                                  \
  "ldm r0!, {r1, r2, r3, r4, r5, r6, r7, r8}\n"                    \
  "stm r12!, {r1, r2, r3, r4, r5, r6, r7, r8}\n"                   \
  "ldm r0, {r1, r2, r3, r4, r5}\n"                                 \
  "stm r12, {r1, r2, r3, r4, r5}\n"                                \
  "1: ldr r7, [sp, #16]\n"  /* biases */                           \
  "ldr r1, [sp, #20]\n"     /* weights */                          \
  "ldr r8, [sp, #48]\n"     /* blocks */                           \
  "ldr r9, [sp, #28]\n"     /* pairs left */                       \
  "ldr r0, [sp, #44]\n"     /* column */                           \
  "add r2, r1, r8, lsl #3\n"                                       \
  "add lr, r0, r8, lsl #3\n"                                       \
  "cmp r9, #1\n"                                                   \
  "it eq\n"                                                        \
  "moveq r2, r1\n"                                                 \
  "ldr r3, [r7], #4\n"                                             \
  "ldr r4, [r7], #4\n"                                             \
  "beq 2f\n"                                                       \
  "ldr r5, [r7], #4\n"                                             \
  "ldr r6, [r7], #4\n"                                             \
  "2: add r10, r2, r8, lsl #3\n"                                   \
  "str r7, [sp, #16]\n"                                            \
  "lsls r8, r8, #31\n"      /* of an odd number, one comes first */ \
  "str r10, [sp, #20]\n"                                           \
  "beq 3f\n"                                                       \
  "ldr r7, [r0], #4\n"                                             \
  "ldr r8, [r0], #4\n"                                             \
  MULTIPLY_BLOCK("r1", "r3", "r4")                                 \
  MULTIPLY_BLOCK("r2", "r5", "r6")                                 \
  "cmp r0, lr\n"                                                   \
  "beq 5f\n"                                                       \
  "3:\n"

// The weights of a pair of rows at `row` and inputs in r7 and r8.
#define MULTIPLY_BLOCK(row, first, second)              \
  "ldr r9, [" row "], #4\n"                             \
  "ldr r10, [" row "], #4\n"                            \
  "sxtb16 r11, r9\n"                                    \
  "sxtb16 r12, r10\n"                                   \
  "smlad " first ", r11, r7, " first "\n"               \
  "sxtb16 r9, r9, ror #8\n"                             \
  "smlad " second ", r12, r7, " second "\n"             \
  "sxtb16 r10, r10, ror #8\n"                           \
  "smlad " first ", r9, r8, " first "\n"                \
  "smlad " second ", r10, r8, " second "\n"

// Two sums requantized (see requantize.h), looked up and stored.
#define STORE_TWO(first, second)                        \
  "ldrsb r0, [r8], #1\n"                                \
  "ldrsb r2, [r8], #1\n"                                \
  "ldr r1, [r7], #4\n"                                  \
  "ldr r12, [r7], #4\n"                                 \
  "mvn lr, r0\n"                                        \
  "rsb r0, r0, #0\n"                                    \
  "lsl lr, r9, lr\n"                                    \
  "add lr, lr, " first ", asr #31\n"                    \
  "add " first ", " first ", " first "\n"               \
  "smmlar " first ", " first ", r1, lr\n"               \
  "mvn lr, r2\n"                                        \
  "rsb r2, r2, #0\n"                                    \
  "lsl lr, r9, lr\n"                                    \
  "add lr, lr, " second ", asr #31\n"                   \
  "add " second ", " second ", " second "\n"            \
  "smmlar " second ", " second ", r12, lr\n"            \
  "asr " first ", " first ", r0\n"                      \
  "ssat " first ", #8, " first "\n"                     \
  "asr " second ", " second ", r2\n"                    \
  "ldrsb " first ", [r10, " first "]\n"                 \
  "ssat " second ", #8, " second "\n"                   \
  "ldrsb " second ", [r10, " second "]\n"               \
  "strb " first ", [r11], #1\n"                         \
  "strb " second ", [r11], #1\n"

#define END_PIXEL                                       \
  "5: ldr r7, [sp, #8]\n"   /* multipliers */           \
  "ldr r8, [sp, #12]\n"     /* shifts */                \
  "ldr r9, [sp, #24]\n"     /* 2 * zero_point + 1 */    \
  "ldr r10, [sp, #0]\n"     /* table */                 \
  "ldr r11, [sp, #32]\n"    /* output */                \
  STORE_TWO("r3", "r4")                                 \
  "ldr lr, [sp, #28]\n"                                 \
  "subs lr, lr, #1\n"                                   \
  "str lr, [sp, #28]\n"                                 \
  "beq 6f\n"                                            \
  STORE_TWO("r5", "r6")                                 \
  "ldr lr, [sp, #28]\n"                                 \
  "str r7, [sp, #8]\n"                                  \
  "str r8, [sp, #12]\n"                                 \
  "str r11, [sp, #32]\n"                                \
  "subs lr, lr, #1\n"                                   \
  "str lr, [sp, #28]\n"                                 \
  "bne 1b\n"                                            \
  "6: add sp, #52\n"                                    \
  "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n"
// clang-format on

#endif  // FIRMWARE_LIB_KERNELS_DSP_PIXEL_H_
