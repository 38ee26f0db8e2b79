// The gate's product and the sum of two tensors, sixteen elements at a time.
//
// Gate: y = (in - zi) * (gate - zg) is summed in lanes as
// in * gate - zg * in + (zi * zg - zi * gate), by 4 + 3 instructions; the last term is stored once
// for all pixels, and 3 instructions load the factors. With rounding.S it takes 39 instructions for
// sixteen outputs with one digit, 43 with a gap, in a zero-overhead loop. 68 more with a table.
//
// Sum: q = (ka * a + kb * b + c) >> 30 holds for every pair of bytes: the compiler has checked it
// (tinyml/aot/pack_elementwise.py). The factors' four digits are summed from the lowest up, as
// rounding.S does: 21 instructions for sixteen outputs.
//
// a2 the arguments, a3 input, a4 the second input (gate: the image of what is stored), a5 the lanes'
// image, a6 output, a7 bytes of a pixel, a8 constants, a9 gate, a10 the step back to the first
// constant, a11 8, a12 0, a13 the last shift, a14 pixels or vectors, a15 work. q6 and q7: -128 and
// -1 in every byte.

  .text

// Nothing is loaded for the next pixel while this one is rounded.
.macro next_input to, x, y
  ee.vmulas.s8.qacc \x, \y
.endm
.macro next_weight to, x, y
  ee.vmulas.s8.qacc \x, \y
.endm
.macro next_weight_alone to
.endm

#include "rounding.S"

// -128 and -1 in q6 and q7, with the help of a byte on the stack.
.macro fill
  movi a3, -128
  s8i a3, a1, 0
  ee.vldbc.8 q6, a1
  ee.vcmp.eq.s8 q7, q6, q6
.endm

.macro gate_lanes name, round, constants
  .global \name
  .type \name, @function
  .align 4
\name:
  entry a1, 128
  fill
  mov a5, a1
  addi a4, a1, 48
  movi a11, 8
  movi a12, 0
6:
  l32i a3, a2, 0
  l32i a9, a2, 4
  l32i a6, a2, 8
  l32i a8, a2, 12
  l32i a14, a2, 20
  l32i a7, a2, 24
  l8ui a13, a8, 1
  addi a8, a8, 16
  movi a10, -16 * \constants
  load_lanes a8, 12
  ee.vld.128.ip q0, a9, 0
  ee.vld.128.ip q1, a8, 16
  ee.vld.128.ip q2, a8, 16
  ee.vmulas.s8.qacc q0, q1
  ee.vmulas.s8.qacc q0, q2
  store_lanes a4
  loopnez a14, 2f
  ee.vld.128.xp q1, a3, a7
  ee.vld.128.ip q0, a9, 0
  ee.vld.128.ip q2, a8, 16
  load_lanes a4, -36
  ee.vmulas.s8.qacc.ld.ip q4, a8, 16, q1, q0
  ee.vmulas.s8.qacc q1, q2
  ee.vmulas.s8.qacc.ld.ip q5, a8, 16, q1, q4
  \round
  ee.srcmb.s8.qacc q3, a13, 0
  ee.vst.128.xp q3, a6, a7
2:
  l32i a15, a2, 28
  beqz a15, 3f
  l32i a6, a2, 8
  mov a9, a7
  look_up_row
  addi a4, a1, 48
3:
  l32i a3, a2, 0
  l32i a9, a2, 4
  l32i a6, a2, 8
  addi a3, a3, 16
  addi a9, a9, 16
  addi a6, a6, 16
  s32i a3, a2, 0
  s32i a9, a2, 4
  s32i a6, a2, 8
  l32i a3, a2, 16
  addi a3, a3, -1
  s32i a3, a2, 16
  bnez a3, 6b
  retw.n
.endm

  gate_lanes pie_gate_lanes_1, round1, 8
  gate_lanes pie_gate_lanes_1_gap, round1_gap, 11
  gate_lanes pie_gate_lanes_2, round2, 8
  gate_lanes pie_gate_lanes_2_gap, round2_gap, 11
  gate_lanes pie_gate_lanes_3, round3, 9
  gate_lanes pie_gate_lanes_3_gap, round3_gap, 12

// Constants: the factors' digits a0, b0, a1, b1, -c1, a2, b2, -c2, a3, b3, -c3, and the rest of c
// in two parts.
  .global pie_add_lanes
  .type pie_add_lanes, @function
  .align 4
pie_add_lanes:
  entry a1, 48
  fill
  l32i a3, a2, 0
  l32i a4, a2, 4
  l32i a6, a2, 8
  l32i a8, a2, 12
  l32i a14, a2, 16
  l8ui a13, a8, 1
  addi a8, a8, 16
  movi a10, -16 * 12
  movi a11, 8
  ee.vld.128.ip q2, a8, 16
  ee.vld.128.ip q3, a8, 16
  loopnez a14, 1f
  ee.vld.128.ip q0, a3, 16
  ee.vld.128.ip q1, a4, 16
  ee.zero.qacc
  ee.vmulas.s8.qacc.ld.ip q4, a8, 16, q0, q2
  ee.vmulas.s8.qacc.ld.ip q5, a8, 16, q1, q3
  ee.srcmb.s8.qacc q2, a11, 0
  ee.vmulas.s8.qacc.ld.ip q2, a8, 16, q0, q4
  ee.vmulas.s8.qacc.ld.ip q3, a8, 16, q1, q5
  ee.vmulas.s8.qacc.ld.ip q4, a8, 16, q7, q2
  ee.srcmb.s8.qacc q5, a11, 0
  ee.vmulas.s8.qacc.ld.ip q5, a8, 16, q0, q3
  ee.vmulas.s8.qacc.ld.ip q2, a8, 16, q1, q4
  ee.vmulas.s8.qacc.ld.ip q3, a8, 16, q7, q5
  ee.srcmb.s8.qacc q4, a11, 0
  ee.vmulas.s8.qacc.ld.ip q4, a8, 16, q0, q2
  ee.vmulas.s8.qacc.ld.ip q5, a8, 16, q1, q3
  ee.vmulas.s8.qacc.ld.xp q4, a8, a10, q7, q4
  ee.vmulas.s8.qacc.ld.ip q2, a8, 16, q6, q5
  ee.vmulas.s8.qacc.ld.ip q3, a8, 16, q6, q4
  ee.srcmb.s8.qacc q5, a13, 0
  ee.vst.128.ip q5, a6, 16
1:
  l32i a15, a2, 20
  beqz a15, 2f
  l32i a6, a2, 8
  movi a9, 16
  look_up_row
2:
  retw.n
