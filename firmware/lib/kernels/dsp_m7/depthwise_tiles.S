// For cores that issue two instructions at a time. Every load and every widening stands before a
// product that does not wait for it, and sums are requantized together, so that no instruction
// waits for the one before it (see requantize.h).
#include "../dsp/depthwise_frame.inc"
	.set loads_together, 0

	.macro finish_6
	ldr r8, [sp, #Shift]
	ldr r12, [sp, #Channel]
	ldr r9, [sp, #Table]
	ldr r6, [sp, #Multiplier]
	ldr r10, [sp, #Out]
	ldrsb r8, [r8, r12]
	add r10, r10, r12
	ldr r7, [sp, #OddZeroPoint]
	ldr r6, [r6, r12, lsl #2]
	mvn r8, r8
	lsl r7, r7, r8
	add r8, r8, #1
	add r12, r7, r0, asr #31
	add r0, r0, r0
	add lr, r7, r1, asr #31
	smmlar r0, r0, r6, r12
	add r12, r7, r2, asr #31
	add r1, r1, r1
	add r2, r2, r2
	smmlar r1, r1, r6, lr
	add lr, r7, r3, asr #31
	smmlar r2, r2, r6, r12
	asr r1, r1, r8
	add r3, r3, r3
	ssat r1, #8, r1
	smmlar r3, r3, r6, lr
	add r12, r7, r4, asr #31
	add r4, r4, r4
	asr r2, r2, r8
	smmlar r4, r4, r6, r12
	add lr, r7, r5, asr #31
	add r5, r5, r5
	asr r0, r0, r8
	smmlar r5, r5, r6, lr
	asr r3, r3, r8
	ldr r11, [sp, #Step]
	ssat r0, #8, r0
	ldrsb r1, [r9, r1]
	asr r4, r4, r8
	add r6, r10, r11
	asr r5, r5, r8
	strb r1, [r10, r11]
	ssat r2, #8, r2
	ldrsb r0, [r9, r0]
	ssat r3, #8, r3
	strb r0, [r10]
	ssat r4, #8, r4
	ssat r5, #8, r5
	ldrsb r2, [r9, r2]
	add r7, r10, r11, lsl #1
	ldrsb r3, [r9, r3]
	ldrsb r4, [r9, r4]
	strb r2, [r10, r11, lsl #1]
	add r8, r6, r11, lsl #2
	strb r3, [r6, r11, lsl #1]
	strb r4, [r7, r11, lsl #1]
	ldrsb r5, [r9, r5]
	strb r5, [r8]
	.endm

	.macro finish_3
	ldr r12, [sp, #Channel]
	ldr r8, [sp, #Shift]
	ldr r6, [sp, #Multiplier]
	ldr r9, [sp, #Table]
	ldr r7, [sp, #OddZeroPoint]
	ldrsb r8, [r8, r12]
	ldr r10, [sp, #Out]
	ldr r6, [r6, r12, lsl #2]
	ldr r11, [sp, #Step]
	mvn r8, r8
	lsl r7, r7, r8
	add r10, r10, r12
	add r3, r7, r0, asr #31
	add r8, r8, #1
	add r4, r7, r1, asr #31
	add r0, r0, r0
	add r1, r1, r1
	smmlar r0, r0, r6, r3
	add r5, r7, r2, asr #31
	add r2, r2, r2
	asr r0, r0, r8
	smmlar r1, r1, r6, r4
	ssat r0, #8, r0
	smmlar r2, r2, r6, r5
	asr r1, r1, r8
	ssat r1, #8, r1
	asr r2, r2, r8
	ldrsb r0, [r9, r0]
	ssat r2, #8, r2
	strb r0, [r10]
	ldrsb r1, [r9, r1]
	strb r1, [r10, r11]
	ldrsb r2, [r9, r2]
	strb r2, [r10, r11, lsl #1]
	.endm

	.macro finish_2
	ldr r12, [sp, #Channel]
	ldr r8, [sp, #Shift]
	ldr r6, [sp, #Multiplier]
	ldr r11, [sp, #Step]
	ldr r7, [sp, #OddZeroPoint]
	ldrsb r8, [r8, r12]
	ldr r10, [sp, #Out]
	ldr r6, [r6, r12, lsl #2]
	ldr r9, [sp, #Table]
	mvn r8, r8
	add r10, r10, r12
	lsl r7, r7, r8
	add r8, r8, #1
	add r3, r7, r0, asr #31
	add r0, r0, r0
	add r4, r7, r1, asr #31
	smmlar r0, r0, r6, r3
	add r1, r1, r1
	smmlar r1, r1, r6, r4
	asr r0, r0, r8
	ssat r0, #8, r0
	asr r1, r1, r8
	ssat r1, #8, r1
	ldrsb r0, [r9, r0]
	strb r0, [r10]
	ldrsb r1, [r9, r1]
	strb r1, [r10, r11]
	.endm

#include "../dsp/depthwise_tiles.inc"
