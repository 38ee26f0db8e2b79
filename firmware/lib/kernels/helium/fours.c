// See fours.h. One assembly block computes all groups: a compiler cannot keep a group's values in
// registers.
#include "fours.h"

#include "requantize.h"

// The sum of the window at p of the channel'th of four channels, in one or two vectors, which moves
// p to the next window. Steps of the requantization of the pixel before are placed in between,
// because the processor executes both at a time.
// clang-format off
#define WINDOW_16(sum, p, step, channel, a, b, c) \
  "vldrb.8 q0, [" p "], #" step "\n" a            \
  "vldrb.8 q1, [r8, #16 * " channel "]\n" b       \
  "vmladav.s8 " sum ", q0, q1\n" c
#define WINDOW_32(sum, p, step, channel, a, b, c) \
  "vldrb.8 q0, [" p ", #16]\n" a                  \
  "vldrb.8 q1, [r8, #32 * " channel " + 16]\n"    \
  "vmladav.s8 " sum ", q0, q1\n" b                \
  "vldrb.8 q0, [" p "], #" step "\n"              \
  "vldrb.8 q1, [r8, #32 * " channel "]\n" c       \
  "vmladava.s8 " sum ", q0, q1\n"

// The steps of requantizing q3, as RESCALE and SATURATE do, of writing it and adding it up.
#define STEP_0 "vadd.i32 q3, q3, q4\n"
#define STEP_1 "vshr.s32 q2, q3, #31\n"
#define STEP_2 "vqrdmulh.s32 q3, q3, q5\n"
#define STEP_3 "vadd.i32 q3, q3, q2\n"
#define STEP_4 "vrshl.s32 q3, q3, q6\n"
#define STEP_5 "vqadd.s32 q3, q3, r10\n"
#define STEP_6 "vstrb.32 q3, [r7]\n"
#define STEP_7 "vadd.i32 q7, q7, q3\n"
#define STEP_8 "add r7, r9\n"
#define EACH_STEP(step) STEP_##step
#define NO_STEP(step) ""
#define NO_SATURATION(x, other, table) ""

// The sums of a pixel's four channels into q3, while the pixel before is requantized.
#define PIXEL(window, distance, step, saturate)                                    \
  window("r0", "r1", distance, "0", step(0), step(1), step(2))                     \
  window("r2", "r3", distance, "1", step(3), step(4), step(5))                     \
  window("r4", "r5", distance, "2", saturate("q3", "q2", "r11"), step(6), step(7)) \
  "vmov d6, r0, r2\n"                                                              \
  window("r0", "r6", distance, "3", step(8), "", "")                               \
  "vmov d7, r4, r0\n"

// r12 Fours, r1 r3 r5 r6 planes, r8 weights, r7 output, r9 channels, r10 zero point, r11 table,
// q4 bias, q5 multiplier, q6 shift, q7 sums of what is written
#define FOUR_CHANNELS(window, distance, weight_bytes, saturate)                           \
  __asm__ volatile(                                                                       \
      "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"                                     \
      "vpush {d8, d9, d10, d11, d12, d13, d14, d15}\n"                                    \
      "mov r12, r0\n"                                                                     \
      "ldr r8, [r12, #8]\n"                                                               \
      "ldrd r9, r10, [r12, #32]\n"                                                        \
      "ldr r11, [r12, #40]\n"                                                             \
      "1: ldrd r1, r0, [r12]\n"                                                           \
      "ldrd r2, r4, [r12, #12]\n"                                                         \
      "add r3, r1, r0\n"                                                                  \
      "vldrw.32 q4, [r2], #16\n"                                                          \
      "add r5, r3, r0\n"                                                                  \
      "vldrw.32 q5, [r4], #16\n"                                                          \
      "add r6, r5, r0\n"                                                                  \
      "strd r2, r4, [r12, #12]\n"                                                         \
      "add r0, r6, r0\n"                                                                  \
      "ldr r2, [r12, #20]\n"                                                              \
      "vldrb.s32 q6, [r2], #4\n"                                                          \
      "ldr r7, [r12, #24]\n"                                                              \
      "str r0, [r12]\n"                                                                   \
      "add r0, r7, #4\n"                                                                  \
      "strd r2, r0, [r12, #20]\n"                                                         \
      "ldr lr, [r12, #44]\n"                                                              \
      "vmov.i32 q7, #0\n" PIXEL(window, distance, NO_STEP, NO_SATURATION)                 \
      "wls lr, lr, 3f\n"                                                                  \
      "2: " PIXEL(window, distance, EACH_STEP, saturate)                                  \
      "le lr, 2b\n"                                                                       \
      "3: " STEP_0 STEP_1 STEP_2 STEP_3 STEP_4 STEP_5 saturate("q3", "q2", "r11")         \
      STEP_6 STEP_7                                                                       \
      "ldr r0, [r12, #28]\n"                                                              \
      "add r8, #" weight_bytes "\n"                                                       \
      "cbz r0, 4f\n"                                                                      \
      "vldrw.32 q0, [r0]\n"                                                               \
      "vadd.i32 q0, q0, q7\n"                                                             \
      "vstrw.32 q0, [r0], #16\n"                                                          \
      "str r0, [r12, #28]\n"                                                              \
      "4: ldr r0, [r12, #48]\n"                                                           \
      "subs r0, #1\n"                                                                     \
      "str r0, [r12, #48]\n"                                                              \
      "bne 1b\n"                                                                          \
      "vpop {d8, d9, d10, d11, d12, d13, d14, d15}\n"                                     \
      "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n")
// clang-format on

// One function for each distance of windows, which is part of an instruction.
#define DEFINE_FOURS(taps, distance, weight_bytes)                                      \
  static __attribute__((naked, noinline)) void fours_##distance(Fours* fours) {         \
    (void)fours;                                                                        \
    FOUR_CHANNELS(WINDOW_##taps, #distance, #weight_bytes, SATURATE);                   \
  }                                                                                     \
  static __attribute__((naked, noinline)) void look_up_fours_##distance(Fours* fours) { \
    (void)fours;                                                                        \
    FOUR_CHANNELS(WINDOW_##taps, #distance, #weight_bytes, LOOK_UP_SATURATED);          \
  }
DEFINE_FOURS(16, 3, 64)
DEFINE_FOURS(16, 6, 64)
DEFINE_FOURS(32, 5, 128)
DEFINE_FOURS(32, 10, 128)

MultiplyFours* kernel_fours_for(int32_t weight_bytes, int32_t step, int32_t look_up) {
  if (weight_bytes == 16) {
    if (step == 3) return look_up ? look_up_fours_3 : fours_3;
    if (step == 6) return look_up ? look_up_fours_6 : fours_6;
  } else if (weight_bytes == 32) {
    if (step == 5) return look_up ? look_up_fours_5 : fours_5;
    if (step == 10) return look_up ? look_up_fours_10 : fours_10;
  }
  return 0;
}
