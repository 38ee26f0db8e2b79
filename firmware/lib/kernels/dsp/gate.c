// See gate.h. Four products are requantized together (see requantize.h), so that no instruction
// waits for the one before it.
#include "gate.h"

// r0 in, r1 out, r2 step, r3 and r4 gates, r5 multiplier, r6 addend, r7 shift
__attribute__((naked)) void kernel_multiply_by_gates(const Gate* gate) {
  (void)gate;
  __asm__ volatile(
      "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"
      "ldrd r8, r9, [r0, #32]\n"
      "push {r8, r9}\n"
      "ldm r0, {r0, r1, r2, r3, r4, r5, r6, r7}\n"
      "1:\n"
      "ldr r10, [r0]\n"
      "add r0, r0, r2\n"
      "ldr r11, [sp, #0]\n"
      "sxtab16 r9, r11, r10\n"
      "sxtab16 r10, r11, r10, ror #8\n"
      "smulbb r11, r9, r3\n"
      "smulbb r12, r10, r4\n"
      "smultt r9, r9, r3\n"
      "add r8, r6, r11, asr #31\n"
      "smmlar r11, r11, r5, r8\n"
      "add lr, r6, r12, asr #31\n"
      "smmlar r12, r12, r5, lr\n"
      "add r8, r6, r9, asr #31\n"
      "smultt r10, r10, r4\n"
      "asr r11, r11, r7\n"
      "smmlar r9, r9, r5, r8\n"
      "ldr r8, [sp, #4]\n"
      "asr r12, r12, r7\n"
      "add lr, r6, r10, asr #31\n"
      "cmp r0, r8\n"
      "ssat r11, #8, r11\n"
      "smmlar r10, r10, r5, lr\n"
      "ssat r12, #8, r12\n"
      "strb r11, [r1]\n"
      "asr r10, r10, r7\n"
      "strb r12, [r1, #1]\n"
      "ssat r10, #8, r10\n"
      "asr r9, r9, r7\n"
      "strb r10, [r1, #3]\n"
      "ssat r9, #8, r9\n"
      "strb r9, [r1, #2]\n"
      "add r1, r1, r2\n"
      "bne 1b\n"
      "add sp, #8\n"
      "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n");
}
