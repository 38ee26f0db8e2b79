// Depthwise convolution of one pixel, sixteen channels at a time.
//
// A tap of sixteen channels takes 5 instructions, two of them the load of its input and the
// multiplication, which also loads the next weights; the others find the input, which may lie in
// any row or be padding. The accumulators of 20 bits hold 31 products of int8.
//
// They can only be stored packed: sext and src unpack them, 23 instructions for eight. An output
// then takes 13 (15 with a table, 4 more to be summed), because each loads its own constants; see
// conv.S for the arithmetic.
//
// a2 the arguments, a3 taps, a4 the group's offset in a pixel, a5 the accumulators' image, a6 output,
// a7 table, a8 weights and constants, a9 .. a12 work, a13 sums, a14 taps, a15 work.

  .text

// The output of a channel from its sum in a11.
.macro requantize lane
  l32i a12, a8, 16 * \lane
  addx4 a11, a11, a12
  l32i a12, a8, 16 * \lane + 4
  mulsh a12, a11, a12
  srai a11, a11, 31
  addx2 a12, a11, a12
  l32i a11, a8, 16 * \lane + 8
  add a12, a12, a11
  l32i a11, a8, 16 * \lane + 12
  ssr a11
  sra a12, a12
  clamps a12, a12, 7
.endm

.macro keep
.endm

.macro look_up
  add a12, a12, a7
  l8ui a12, a12, 0
.endm

.macro no_sum lane
.endm

.macro add_up lane
  sext a12, a12, 7
  l32i a11, a13, 4 * \lane
  add a11, a11, a12
  s32i a11, a13, 4 * \lane
.endm

.macro output lane, finish, sum
  requantize \lane
  \finish
  s8i a12, a6, \lane
  \sum \lane
.endm

// Eight lanes of 20 bits in the five words at a5; a9 and a10 hold two words that follow each other.
.macro eight finish, sum
  l32i a9, a5, 0
  l32i a10, a5, 4
  sext a11, a9, 19
  output 0, \finish, \sum
  ssai 20
  src a11, a10, a9
  sext a11, a11, 19
  output 1, \finish, \sum
  srli a11, a10, 8
  sext a11, a11, 19
  output 2, \finish, \sum
  l32i a9, a5, 8
  ssai 28
  src a11, a9, a10
  sext a11, a11, 19
  output 3, \finish, \sum
  l32i a10, a5, 12
  ssai 16
  src a11, a10, a9
  sext a11, a11, 19
  output 4, \finish, \sum
  srli a11, a10, 4
  sext a11, a11, 19
  output 5, \finish, \sum
  l32i a9, a5, 16
  ssai 24
  src a11, a9, a10
  sext a11, a11, 19
  output 6, \finish, \sum
  srai a11, a9, 12
  output 7, \finish, \sum
  addi a8, a8, 127
  addi a8, a8, 1
  addi a6, a6, 8
.endm

.macro depthwise name, finish, sum
  .global \name
  .type \name, @function
  .align 4
\name:
  entry a1, 32
  l32i a14, a2, 4
  l32i a8, a2, 8
  l32i a6, a2, 12
  l32i a7, a2, 16
  l32i a13, a2, 20
  l32i a5, a2, 28
  l32i a4, a2, 32
1:
  l32i a3, a2, 0
  addi a8, a8, 16
  ee.zero.qacc
  ee.vld.128.ip q1, a8, 16
  loopnez a14, 2f
  l32i a9, a3, 0
  addi a3, a3, 4
  add a9, a9, a4
  ee.vld.128.ip q0, a9, 0
  ee.vmulas.s8.qacc.ld.ip q1, a8, 16, q0, q1
2:
  addi a8, a8, -16
  mov a9, a5
  ee.st.qacc_l.l.128.ip a9, 16
  ee.st.qacc_l.h.32.ip a9, 16
  ee.st.qacc_h.l.128.ip a9, 16
  ee.st.qacc_h.h.32.ip a9, 16
  eight \finish, \sum
  addi a5, a5, 32
  addi a13, a13, 32
  eight \finish, \sum
  addi a5, a5, -32
  addi a13, a13, 32
  addi a4, a4, 16
  l32i a9, a2, 24
  addi a9, a9, -1
  s32i a9, a2, 24
  bnez a9, 1b
  retw.n
.endm

  depthwise pie_depthwise, keep, no_sum
  depthwise pie_depthwise_table, look_up, no_sum
  depthwise pie_depthwise_sums, keep, add_up
  depthwise pie_depthwise_table_sums, look_up, add_up
