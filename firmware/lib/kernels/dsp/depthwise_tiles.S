// For cores that issue one instruction at a time. A load takes two cycles, but only one if another
// load or a store follows it.
#include "depthwise_frame.inc"
	.set loads_together, 1

	.macro load_constants
	ldr r12, [sp, #Channel]
	ldr r8, [sp, #Shift]
	ldr r6, [sp, #Multiplier]
	ldrsb r8, [r8, r12]
	ldr r6, [r6, r12, lsl #2]
	ldr r7, [sp, #OddZeroPoint]
	ldr r10, [sp, #Out]
	ldr r9, [sp, #Table]
	ldr r11, [sp, #Step]
	mvn r8, r8
	add r10, r10, r12
	lsl r7, r7, r8
	.endm

@ See requantize.h.
	.macro requantize sum
	add r12, r7, r\sum, asr #31
	lsl r\sum, r\sum, #1
	smmlar r\sum, r\sum, r6, r12
	asr r\sum, r\sum, r8
	ssat r\sum, #8, r\sum, asr #1
	.endm

	.macro finish_6
	load_constants
	.irp sum, 0, 1, 2, 3, 4, 5
	requantize \sum
	.endr
	add r6, r10, r11, lsl #1
	add r7, r6, r11, lsl #1
	.irp sum, 0, 1, 2, 3, 4, 5
	ldrsb r\sum, [r9, r\sum]
	.endr
	strb r0, [r10]
	strb r1, [r10, r11]
	strb r2, [r6]
	strb r3, [r6, r11]
	strb r4, [r7]
	strb r5, [r7, r11]
	.endm

	.macro finish_3
	load_constants
	.irp sum, 0, 1, 2
	requantize \sum
	.endr
	ldrsb r0, [r9, r0]
	ldrsb r1, [r9, r1]
	ldrsb r2, [r9, r2]
	strb r0, [r10]
	strb r1, [r10, r11]
	strb r2, [r10, r11, lsl #1]
	.endm

	.macro finish_2
	load_constants
	requantize 0
	requantize 1
	ldrsb r0, [r9, r0]
	ldrsb r1, [r9, r1]
	strb r0, [r10]
	strb r1, [r10, r11]
	.endm

#include "depthwise_tiles.inc"
