// Depthwise convolution of a row, sixteen channels at a time, requantized in the accumulators'
// lanes: see rounding.S.
//
// The sixteen channels of all rows are first copied to a contiguous strip, with padding outside the
// image: 2 instructions a vector. Then one register is stepped from tap to tap.
//
// A tap takes 2 instructions: the multiplication, which also loads a weight, and the load of an
// input. Three pairs of registers alternate, so a vector is loaded at least two instructions before
// it is used: a load is ready one cycle late (Technical Reference Manual, table 1.7-2). Two pairs
// are loaded while the pixel before is rounded, and the bias takes 4: 20 instructions for 3x3, 52
// for 5x5.
//
// a2 the arguments, a3 strip, a4 its step from row to row, a5 the lanes' image, a6 output, a7 the
// step to the next pixel's first column, a8 weights and constants, a9 output's step, a10 the step
// back to the first weights, a11 8, a12 0, a13 the last shift, a14 pixels, a15 work.

  .text

// While rounding.S rounds, these load the next pixel's first inputs and weights.
.macro next_input to, x, y
  ee.vmulas.s8.qacc.ld.ip \to, a3, 16, \x, \y
.endm

#include "next_weight.inc"
#include "rounding.S"

.macro tap in, weight, next_in, next_weight
  ee.vld.128.ip \next_in, a3, 16
  ee.vmulas.s8.qacc.ld.ip \next_weight, a8, 16, \in, \weight
.endm

// The same where the next input ends a row of the window.
.macro tap_end in, weight, next_in, next_weight, step
  ee.vld.128.xp \next_in, a3, \step
  ee.vmulas.s8.qacc.ld.ip \next_weight, a8, 16, \in, \weight
.endm

// Both begin with two inputs in q1 and q0, their weights in q2 and q4; m1 is in q5 at the end.
.macro taps3x3
  load_lanes a8, 12
  tap_end q1, q2, q3, q5, a4
  tap q0, q4, q1, q2
  tap q3, q5, q0, q4
  tap_end q1, q2, q3, q5, a4
  tap q0, q4, q1, q2
  tap q3, q5, q0, q4
  tap_end q1, q2, q3, q5, a7
  ee.vmulas.s8.qacc q0, q4
  ee.vmulas.s8.qacc.ld.ip q5, a8, 16, q3, q5
.endm

.macro taps5x5
  load_lanes a8, 12
  tap q1, q2, q3, q5
  tap q0, q4, q1, q2
  tap_end q3, q5, q0, q4, a4
  tap q1, q2, q3, q5
  tap q0, q4, q1, q2
  tap q3, q5, q0, q4
  tap q1, q2, q3, q5
  tap_end q0, q4, q1, q2, a4
  tap q3, q5, q0, q4
  tap q1, q2, q3, q5
  tap q0, q4, q1, q2
  tap q3, q5, q0, q4
  tap_end q1, q2, q3, q5, a4
  tap q0, q4, q1, q2
  tap q3, q5, q0, q4
  tap q1, q2, q3, q5
  tap q0, q4, q1, q2
  tap_end q3, q5, q0, q4, a4
  tap q1, q2, q3, q5
  tap q0, q4, q1, q2
  tap q3, q5, q0, q4
  tap q1, q2, q3, q5
  tap_end q0, q4, q1, q2, a7
  ee.vmulas.s8.qacc q3, q5
  ee.vmulas.s8.qacc.ld.ip q5, a8, 16, q1, q2
.endm

// A zero-overhead loop's body has at most 256 bytes; a longer loop ends with a branch.
.macro open_short
  loopnez a14, 4f
.endm
.macro close_short
4:
.endm
.macro open_long
4:
.endm
.macro close_long
  addi a14, a14, -1
  bnez a14, 4b
.endm

// The strip of a group whose offset in a pixel is a9.
.macro copy_strip
  l32i a3, a2, 8
  l32i a10, a2, 0
  l32i a11, a2, 28
  l32i a12, a2, 36
  l32i a13, a2, 32
  l32i a14, a2, 40
  l32i a7, a2, 44
  l32i a4, a2, 72
  ee.vldbc.8 q1, a4
1:
  l32i a4, a10, 0
  beqz a4, 3f
  loopnez a13, 2f
  ee.vst.128.ip q1, a3, 16
2:
  add a4, a4, a9
  loopnez a12, 2f
  ee.vld.128.xp q0, a4, a7
  ee.vst.128.ip q0, a3, 16
2:
  addi a10, a10, 4
  loopnez a14, 2f
  ee.vst.128.ip q1, a3, 16
2:
  j 5f
3:
  addi a10, a10, 4
  add a4, a12, a13
  add a4, a4, a14
  loopnez a4, 2f
  ee.vst.128.ip q1, a3, 16
2:
5:
  addi a11, a11, -1
  bnez a11, 1b
.endm

// Adds the row to sixteen sums at a15: 2 instructions a vector and 38. The lanes get the row's sum
// times -1; its two digits become 16 bits, then 32.
.macro add_up_row
  ee.zero.qacc
  loopnez a14, 1f
  ee.vld.128.xp q0, a6, a9
  ee.vmulas.s8.qacc q0, q7
1:
  store_lanes a5
  ee.vmulas.s8.qacc q7, q6
  ee.srcmb.s8.qacc q1, a11, 0
  load_lanes a5, -36
  ee.vmulas.s8.qacc q1, q6
  ee.vmulas.s8.qacc q1, q6
  ee.srcmb.s8.qacc q0, a12, 0
  ee.zero.q q5
  ee.vcmp.lt.s8 q2, q0, q5
  ee.vadds.s8 q1, q1, q2
  ee.vzip.8 q0, q1
  ee.vcmp.lt.s16 q2, q0, q5
  ee.vcmp.lt.s16 q3, q1, q5
  ee.vzip.16 q0, q2
  ee.vzip.16 q1, q3
  ee.vld.128.ip q4, a15, 16
  ee.vld.128.ip q5, a15, -16
  ee.vsubs.s32 q4, q4, q0
  ee.vsubs.s32 q5, q5, q2
  ee.vst.128.ip q4, a15, 16
  ee.vst.128.ip q5, a15, 16
  ee.vld.128.ip q4, a15, 16
  ee.vld.128.ip q5, a15, -16
  ee.vsubs.s32 q4, q4, q1
  ee.vsubs.s32 q5, q5, q3
  ee.vst.128.ip q4, a15, 16
  ee.vst.128.ip q5, a15, 16
.endm

.macro lanes name, taps, round, constants, open, close
  .global \name
  .type \name, @function
  .align 4
\name:
  entry a1, 32
  l32i a5, a2, 4
  l32i a8, a2, 12
  movi a3, -128
  s8i a3, a5, 0
  ee.vldbc.8 q6, a5
  ee.vcmp.eq.s8 q7, q6, q6
6:
  l32i a9, a2, 24
  copy_strip
  l32i a6, a2, 16
  add a6, a6, a9
  l32i a9, a2, 56
  l32i a3, a2, 8
  l32i a4, a2, 48
  l32i a7, a2, 52
  movi a11, 8
  movi a12, 0
  l8ui a13, a8, 1
  l32i a14, a2, 60
  addi a8, a8, 16
  movi a10, -16 * \constants
  ee.vld.128.ip q1, a3, 16
  ee.vld.128.ip q2, a8, 16
  ee.vld.128.ip q0, a3, 16
  ee.vld.128.ip q4, a8, 16
  \open
  \taps
  \round
  ee.srcmb.s8.qacc q3, a13, 0
  ee.vst.128.xp q3, a6, a9
  \close
  l32i a3, a2, 24
  l32i a15, a2, 64
  beqz a15, 7f
  l32i a6, a2, 16
  add a6, a6, a3
  l32i a14, a2, 60
  look_up_row
7:
  l32i a3, a2, 24
  l32i a15, a2, 68
  beqz a15, 7f
  addx4 a15, a3, a15
  l32i a6, a2, 16
  add a6, a6, a3
  l32i a14, a2, 60
  add_up_row
7:
  l32i a3, a2, 24
  addi a3, a3, 16
  s32i a3, a2, 24
  l32i a3, a2, 76
  add a8, a8, a3
  l32i a3, a2, 20
  addi a3, a3, -1
  s32i a3, a2, 20
  bnez a3, 6b
  retw.n
.endm

  lanes pie_lanes_3x3_1, taps3x3, round1, 18, open_short, close_short
  lanes pie_lanes_3x3_1_gap, taps3x3, round1_gap, 21, open_short, close_short
  lanes pie_lanes_3x3_2, taps3x3, round2, 18, open_short, close_short
  lanes pie_lanes_3x3_2_gap, taps3x3, round2_gap, 21, open_short, close_short
  lanes pie_lanes_3x3_3, taps3x3, round3, 19, open_short, close_short
  lanes pie_lanes_3x3_3_gap, taps3x3, round3_gap, 22, open_short, close_short
  lanes pie_lanes_5x5_1, taps5x5, round1, 34, open_long, close_long
  lanes pie_lanes_5x5_1_gap, taps5x5, round1_gap, 37, open_long, close_long
  lanes pie_lanes_5x5_2, taps5x5, round2, 34, open_long, close_long
  lanes pie_lanes_5x5_2_gap, taps5x5, round2_gap, 37, open_long, close_long
  lanes pie_lanes_5x5_3, taps5x5, round3, 35, open_long, close_long
  lanes pie_lanes_5x5_3_gap, taps5x5, round3_gap, 38, open_long, close_long
