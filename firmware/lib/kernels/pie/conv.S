// Convolutions: a row of weights stays in q0 .. q5 for all pixels.
//
// Inner loop for 96 inputs, one output: 2 loads + 6 multiply-accumulates = 8 instructions for 96
// products (0.083 each; the last four inputs are loaded by the multiply instructions). Two
// registers alternate for the input, so a vector is loaded two instructions before it is used: a
// load is ready one cycle late (Technical Reference Manual, table 1.7-2). Weights of 96 inputs take
// six of the eight registers, so deeper rows are summed in passes of 96 through memory: 10
// instructions for 96 products, two of them the accumulator's load and store. It is a zero-overhead
// loop.
//
// One output then takes 10 instructions, 12 with a table: TensorFlow Lite's double rounding is
//   (high(4 * sum * multiplier) + 1 + 2^e (2 * zero_point + 1) - (sum < 0 ? 2 : 0)) >> (e + 1)
// with high() the upper word and e = -shift >= 1. All terms are in units of 2^30. The first
// rounding adds half of 2^31, which is 1. The second adds 2^e, and subtracts one 2^31, which is 2,
// where the sum is negative: so it rounds half away from zero. |sum| < 2^29, as Requant.simple
// promises.
//
// a2 the arguments, a3 input, a4 output, a5 its step, a6 4 * bias, a7 multiplier, a8 what is added,
// a9 partial sums, a10 table, a11 and a12 work, a13 pixels, a14 the input's last step, a15 weights.

  .text

.macro begin_channel
  l32i a3, a2, 0
  l32i a4, a2, 8
  l32i a9, a2, 28
  l32i a11, a2, 12
  l32i a6, a11, 0
  addi a11, a11, 4
  s32i a11, a2, 12
  slli a6, a6, 2
  l32i a11, a2, 16
  l32i a7, a11, 0
  addi a11, a11, 4
  s32i a11, a2, 16
  l32i a11, a2, 20
  l8ui a12, a11, 0
  addi a11, a11, 1
  s32i a11, a2, 20
  l32i a11, a2, 56
  slli a8, a11, 1
  addi a8, a8, 1
  neg a12, a12
  ssl a12
  sll a8, a8
  addi a8, a8, 1
  addi a12, a12, 1
  ssr a12
.endm

// The next channel's output lies one byte on; back to `again` if there is one.
.macro end_channel again
  l32i a4, a2, 8
  addi a4, a4, 1
  s32i a4, a2, 8
  l32i a11, a2, 36
  addi a11, a11, -1
  s32i a11, a2, 36
  bnez a11, \again
  retw.n
.endm

.macro requantize
  rur.accx_0 a11
  addx4 a11, a11, a6
  mulsh a12, a11, a7
  srai a11, a11, 31
  addx2 a12, a11, a12
  add a12, a12, a8
  sra a12, a12
  clamps a12, a12, 7
.endm

.macro keep
.endm

.macro look_up
  add a12, a12, a10
  l8ui a12, a12, 0
.endm

.macro store
  s8i a12, a4, 0
  add a4, a4, a5
.endm

.macro load_weights1
  ee.vld.128.ip q0, a15, 16
.endm
.macro load_weights2
  load_weights1
  ee.vld.128.ip q1, a15, 16
.endm
.macro load_weights3
  load_weights2
  ee.vld.128.ip q2, a15, 16
.endm
.macro load_weights4
  load_weights3
  ee.vld.128.ip q3, a15, 16
.endm
.macro load_weights5
  load_weights4
  ee.vld.128.ip q4, a15, 16
.endm
.macro load_weights6
  load_weights5
  ee.vld.128.ip q5, a15, 16
.endm

// 16 * n products of one pixel; a3 is advanced to the next.
.macro dot1
  ee.vld.128.xp q6, a3, a14
  ee.vmulas.s8.accx q6, q0
.endm
.macro dot2
  ee.vld.128.ip q6, a3, 16
  ee.vld.128.xp q7, a3, a14
  ee.vmulas.s8.accx q6, q0
  ee.vmulas.s8.accx q7, q1
.endm
.macro dot3
  ee.vld.128.ip q6, a3, 16
  ee.vld.128.ip q7, a3, 16
  ee.vmulas.s8.accx.ld.xp q6, a3, a14, q6, q0
  ee.vmulas.s8.accx q7, q1
  ee.vmulas.s8.accx q6, q2
.endm
.macro dot4
  ee.vld.128.ip q6, a3, 16
  ee.vld.128.ip q7, a3, 16
  ee.vmulas.s8.accx.ld.ip q6, a3, 16, q6, q0
  ee.vmulas.s8.accx.ld.xp q7, a3, a14, q7, q1
  ee.vmulas.s8.accx q6, q2
  ee.vmulas.s8.accx q7, q3
.endm
.macro dot5
  ee.vld.128.ip q6, a3, 16
  ee.vld.128.ip q7, a3, 16
  ee.vmulas.s8.accx.ld.ip q6, a3, 16, q6, q0
  ee.vmulas.s8.accx.ld.ip q7, a3, 16, q7, q1
  ee.vmulas.s8.accx.ld.xp q6, a3, a14, q6, q2
  ee.vmulas.s8.accx q7, q3
  ee.vmulas.s8.accx q6, q4
.endm
.macro dot6
  ee.vld.128.ip q6, a3, 16
  ee.vld.128.ip q7, a3, 16
  ee.vmulas.s8.accx.ld.ip q6, a3, 16, q6, q0
  ee.vmulas.s8.accx.ld.ip q7, a3, 16, q7, q1
  ee.vmulas.s8.accx.ld.ip q6, a3, 16, q6, q2
  ee.vmulas.s8.accx.ld.xp q7, a3, a14, q7, q3
  ee.vmulas.s8.accx q6, q4
  ee.vmulas.s8.accx q7, q5
.endm

// Sets a5, a10, a13, a14 (for rows of \blocks vectors) and a15.
.macro begin blocks
  entry a1, 32
  l32i a5, a2, 44
  l32i a10, a2, 24
  l32i a13, a2, 32
  l32i a14, a2, 40
  addi a14, a14, 16
  addi a14, a14, -16 * \blocks
  l32i a15, a2, 4
.endm

.macro conv name, blocks, load_weights, dot, finish
  .global \name
  .type \name, @function
  .align 4
\name:
  begin \blocks
1:
  begin_channel
  \load_weights
  loopnez a13, 2f
  ee.zero.accx
  \dot
  requantize
  \finish
  store
2:
  end_channel 1b
.endm

// With passes of 96 inputs before the last.
.macro conv_deep name, blocks, load_weights, dot, finish
  .global \name
  .type \name, @function
  .align 4
\name:
  begin \blocks
1:
  l32i a3, a2, 0
  l32i a12, a2, 52
  l32i a14, a2, 40
  addi a14, a14, -80
  load_weights6
  l32i a9, a2, 28
  loopnez a13, 2f
  ee.zero.accx
  dot6
  ee.st.accx.ip a9, 8
2:
  l32i a3, a2, 0
  addi a3, a3, 96
  addi a12, a12, -1
  beqz a12, 5f
3:
  load_weights6
  mov a11, a3
  l32i a9, a2, 28
  loopnez a13, 4f
  ee.ld.accx.ip a9, 0
  dot6
  ee.st.accx.ip a9, 8
4:
  addi a3, a11, 96
  addi a12, a12, -1
  bnez a12, 3b
5:
  mov a14, a3
  begin_channel
  mov a3, a14
  l32i a14, a2, 40
  addi a14, a14, 16
  addi a14, a14, -16 * \blocks
  \load_weights
  loopnez a13, 6f
  ee.ld.accx.ip a9, 8
  \dot
  requantize
  \finish
  store
6:
  end_channel 1b
.endm

  conv pie_conv_1, 1, load_weights1, dot1, keep
  conv pie_conv_2, 2, load_weights2, dot2, keep
  conv pie_conv_3, 3, load_weights3, dot3, keep
  conv pie_conv_4, 4, load_weights4, dot4, keep
  conv pie_conv_5, 5, load_weights5, dot5, keep
  conv pie_conv_6, 6, load_weights6, dot6, keep
  conv pie_conv_1_table, 1, load_weights1, dot1, look_up
  conv pie_conv_2_table, 2, load_weights2, dot2, look_up
  conv pie_conv_3_table, 3, load_weights3, dot3, look_up
  conv pie_conv_4_table, 4, load_weights4, dot4, look_up
  conv pie_conv_5_table, 5, load_weights5, dot5, look_up
  conv pie_conv_6_table, 6, load_weights6, dot6, look_up
  conv_deep pie_conv_1_deep, 1, load_weights1, dot1, keep
  conv_deep pie_conv_2_deep, 2, load_weights2, dot2, keep
  conv_deep pie_conv_3_deep, 3, load_weights3, dot3, keep
  conv_deep pie_conv_4_deep, 4, load_weights4, dot4, keep
  conv_deep pie_conv_5_deep, 5, load_weights5, dot5, keep
  conv_deep pie_conv_6_deep, 6, load_weights6, dot6, keep
  conv_deep pie_conv_1_deep_table, 1, load_weights1, dot1, look_up
  conv_deep pie_conv_2_deep_table, 2, load_weights2, dot2, look_up
  conv_deep pie_conv_3_deep_table, 3, load_weights3, dot3, look_up
  conv_deep pie_conv_4_deep_table, 4, load_weights4, dot4, look_up
  conv_deep pie_conv_5_deep_table, 5, load_weights5, dot5, look_up
  conv_deep pie_conv_6_deep_table, 6, load_weights6, dot6, look_up

// One pixel: every weight is used once, so both operands are loaded: 2 instructions for 16 products,
// and a cycle is lost where the input's vector is used at once.
.macro conv_single name, finish
  .global \name
  .type \name, @function
  .align 4
\name:
  begin 1
  l32i a13, a2, 48
  srli a13, a13, 4
  addi a13, a13, -1
1:
  begin_channel
  ee.zero.accx
  ee.vld.128.ip q0, a3, 16
  ee.vld.128.ip q1, a15, 16
  loopnez a13, 2f
  ee.vmulas.s8.accx.ld.ip q1, a15, 16, q0, q1
  ee.vld.128.ip q0, a3, 16
2:
  ee.vmulas.s8.accx q0, q1
  requantize
  \finish
  store
  end_channel 1b
.endm

  conv_single pie_conv_single, keep
  conv_single pie_conv_single_table, look_up
