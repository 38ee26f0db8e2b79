// One output at a time: the gate's product, the sum of two tensors, the mean. The arithmetic is
// that of conv.S. Without a shift (e = 0), a mask of 0 removes the term of the sign, and
// 1 + 2 * zero_point is added.

  .text

.macro keep table
.endm

.macro look_up table
  add a12, a12, \table
  l8ui a12, a12, 0
.endm

// 14 instructions an element, 16 with a table: one channel of every pixel, then the next.
// a2 the arguments, a3 input, a4 output, a5 gate, a6 bytes of a pixel, a7 multiplier, a8 what is
// added, a10 table, a11 and a12 work, a13 pixels, a14 the input's zero point, a15 4 * the gate.
.macro gate name, finish
  .global \name
  .type \name, @function
  .align 4
\name:
  entry a1, 32
  l32i a5, a2, 4
  l32i a13, a2, 12
  l32i a6, a2, 20
  l32i a14, a2, 24
  l32i a7, a2, 32
  l32i a8, a2, 36
  l32i a11, a2, 40
  ssr a11
  l32i a10, a2, 44
1:
  l8ui a15, a5, 0
  addi a5, a5, 1
  sext a15, a15, 7
  l32i a11, a2, 28
  sub a15, a15, a11
  slli a15, a15, 2
  l32i a3, a2, 0
  l32i a4, a2, 8
  loopnez a13, 2f
  l8ui a11, a3, 0
  add a3, a3, a6
  sext a11, a11, 7
  sub a11, a11, a14
  mull a11, a11, a15
  mulsh a12, a11, a7
  srai a11, a11, 31
  addx2 a12, a11, a12
  add a12, a12, a8
  sra a12, a12
  clamps a12, a12, 7
  \finish a10
  s8i a12, a4, 0
  add a4, a4, a6
2:
  l32i a3, a2, 0
  addi a3, a3, 1
  s32i a3, a2, 0
  l32i a4, a2, 8
  addi a4, a4, 1
  s32i a4, a2, 8
  l32i a11, a2, 16
  addi a11, a11, -1
  s32i a11, a2, 16
  bnez a11, 1b
  retw.n
.endm

  gate pie_gate, keep
  gate pie_gate_table, look_up

// An input times 2^20, rescaled, to \to; its zero point, multiplier and what is added are in
// registers, the mask and the shift at \at in the arguments.
.macro scaled to, from, zero_point, multiplier, added, at
  l8ui a11, \from, 0
  addi \from, \from, 1
  sext a11, a11, 7
  sub a11, a11, \zero_point
  slli a11, a11, 22
  mulsh a12, a11, \multiplier
  srai a11, a11, 31
  l32i a13, a2, \at
  and a11, a11, a13
  addx2 a12, a11, a12
  add a12, a12, \added
  l32i a13, a2, \at + 4
  ssr a13
  sra \to, a12
.endm

// 44 instructions an element, 46 with a table.
.macro add_two name, finish
  .global \name
  .type \name, @function
  .align 4
\name:
  entry a1, 32
  l32i a3, a2, 0
  l32i a4, a2, 4
  l32i a5, a2, 16
  l32i a6, a2, 20
  l32i a7, a2, 24
  l32i a8, a2, 36
  l32i a9, a2, 40
  l32i a10, a2, 44
  l32i a15, a2, 8
  l32i a11, a2, 12
  loopnez a11, 1f
  scaled a14, a3, a5, a6, a7, 28
  scaled a12, a4, a8, a9, a10, 48
  add a11, a12, a14
  slli a11, a11, 2
  l32i a13, a2, 56
  mulsh a12, a11, a13
  srai a11, a11, 31
  l32i a13, a2, 64
  and a11, a11, a13
  addx2 a12, a11, a12
  l32i a13, a2, 60
  add a12, a12, a13
  l32i a13, a2, 68
  ssr a13
  sra a12, a12
  clamps a12, a12, 7
  l32i a13, a2, 72
  \finish a13
  s8i a12, a15, 0
  addi a15, a15, 1
1:
  retw.n
.endm

  add_two pie_add, keep
  add_two pie_add_table, look_up

// 14 instructions a channel, 16 with a table.
.macro mean name, finish
  .global \name
  .type \name, @function
  .align 4
\name:
  entry a1, 32
  l32i a3, a2, 0
  l32i a4, a2, 4
  l32i a13, a2, 8
  l32i a5, a2, 12
  l32i a6, a2, 16
  l32i a7, a2, 20
  l32i a8, a2, 24
  l32i a11, a2, 28
  ssr a11
  l32i a10, a2, 32
  loopnez a13, 1f
  l32i a11, a3, 0
  addi a3, a3, 4
  add a11, a11, a5
  slli a11, a11, 2
  mulsh a12, a11, a6
  srai a11, a11, 31
  and a11, a11, a8
  addx2 a12, a11, a12
  add a12, a12, a7
  sra a12, a12
  clamps a12, a12, 7
  \finish a10
  s8i a12, a4, 0
  addi a4, a4, 1
1:
  retw.n
.endm

  mean pie_mean, keep
  mean pie_mean_table, look_up
