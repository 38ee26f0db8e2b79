// 1x1 convolution with sixteen output channels in the accumulators' lanes: every input of a pixel is
// multiplied by sixteen weights, and the sums are rounded by rounding.S.
//
// An input takes 1 instruction, which also loads the weights of the input after the next, and
// sixteen inputs take 1 more for their load: 17 for 256 products (0.066 each). Four registers take
// turns, so a vector is loaded two instructions before it is used. A pixel then takes 4 for the
// bias, 2 for what follows sixteen inputs at a time, 27 and more for rounding, 1 for the store and
// 2 for the loop; conv.S needs 16 * 11 beside its products. Sums have to fit 20 bits, so deep rows
// are left to conv.S.
//
// a2 the arguments, a3 input, a4 whether eight more inputs follow, a5 the lanes' image, a6 output,
// a8 weights and constants, a9 output's step, a10 the step back to the first weights, a11 8, a12 0,
// a13 the last shift, a14 pixels, a15 sixteens of inputs. q0: inputs. q2 to q5: weights. q6 and q7:
// -128 and -1 in every byte.

  .text

// While rounding.S rounds, these load the first weights again.
.macro next_input to, x, y
  ee.vmulas.s8.qacc \x, \y
.endm

#include "next_weight.inc"
#include "rounding.S"

.macro four_inputs first, second, third, fourth
  ee.vsmulas.s8.qacc.ld.incp q3, a8, q2, q0, \first
  ee.vsmulas.s8.qacc.ld.incp q5, a8, q4, q0, \second
  ee.vsmulas.s8.qacc.ld.incp q2, a8, q3, q0, \third
  ee.vsmulas.s8.qacc.ld.incp q4, a8, q5, q0, \fourth
.endm

// Constants: rounding.S's, behind two vectors that are loaded as the last weights and never used.
.macro conv_lanes name, round
  .global \name
  .type \name, @function
  .align 4
\name:
  entry a1, 96
  movi a3, -128
  s8i a3, a1, 0
  ee.vldbc.8 q6, a1
  ee.vcmp.eq.s8 q7, q6, q6
  mov a5, a1
  movi a11, 8
  movi a12, 0
  l32i a8, a2, 4
  l32i a10, a2, 40
  l32i a15, a2, 20
6:
  l32i a3, a2, 0
  l32i a4, a2, 24
  l32i a6, a2, 8
  l32i a9, a2, 28
  l32i a14, a2, 16
  l8ui a13, a8, 1
  addi a8, a8, 16
  ee.vld.128.ip q2, a8, 16
  ee.vld.128.ip q4, a8, 16
3:
  load_lanes a8, 12
  loopnez a15, 4f
  ee.vld.128.ip q0, a3, 16
  four_inputs 0, 1, 2, 3
  four_inputs 4, 5, 6, 7
  four_inputs 8, 9, 10, 11
  four_inputs 12, 13, 14, 15
4:
  beqz a4, 5f
  ee.vld.128.ip q0, a3, 16
  four_inputs 0, 1, 2, 3
  four_inputs 4, 5, 6, 7
5:
  ee.vld.128.ip q5, a8, 16
  \round
  ee.srcmb.s8.qacc q3, a13, 0
  ee.vst.128.xp q3, a6, a9
  addi a14, a14, -1
  bnez a14, 3b
  l32i a7, a2, 32
  beqz a7, 7f
  l32i a6, a2, 8
  l32i a14, a2, 16
  mov a15, a7
  look_up_row
  l32i a15, a2, 20
7:
  l32i a3, a2, 8
  addi a3, a3, 16
  s32i a3, a2, 8
  l32i a3, a2, 36
  add a8, a8, a3
  l32i a3, a2, 12
  addi a3, a3, -1
  s32i a3, a2, 12
  bnez a3, 6b
  retw.n
.endm

  conv_lanes pie_conv_lanes_1, round1
  conv_lanes pie_conv_lanes_1_gap, round1_gap
  conv_lanes pie_conv_lanes_2, round2
  conv_lanes pie_conv_lanes_2_gap, round2_gap
  conv_lanes pie_conv_lanes_3, round3
  conv_lanes pie_conv_lanes_3_gap, round3_gap
