// Macros only. Sixteen sums in the accumulators' lanes of 20 bits, rounded to int8 outputs;
// tinyml/aot/lanes.py finds the constants and proves them.
//
// A readout (ee.srcmb.s8.qacc) shifts a lane, keeps it shifted and saturates what it reads, so the
// digits of y = 256 * (h1 + h2 + h3) + low are read one by one. The lanes are stored before and
// loaded again for low, 8 instructions, because the shift loses their low bits. The product with
// m0 + 256 * m1 + 256^2 * m2 + 256^3 * m3 is then summed from the lowest digit up, with a shift by
// 8 after each digit: several shifts that round down equal one shift. No lane saturates in these
// sums. With one digit h it takes 27 instructions for sixteen outputs; every further digit takes 8
// more (2 to read it, 2 to subtract it, 4 products), the third 9. 4 more where positive and
// negative sums round differently (a "gap"). A readout into q3 and a shift by a13 then give the
// output.
//
// Constants lie at a8 in the order m1 (which is in q5 already), m0, c8, m2, c16, m3, c24; bound, d
// and c31 with a gap; c39 with three digits. The last one's load steps back by a10.
//
// q0, q1, q3: h1 to h3. q2: low. q4, q5: constants. q6, q7: -128 and -1 in every byte. a5: 48 bytes
// for the lanes. a11: 8. a12: 0. next_input, next_weight and next_weight_alone are macros of the
// file that includes this one. They may load a register that is no longer needed here; the first
// two also multiply.

// 48 bytes; \at ends \after bytes behind the last word's place.
.macro load_lanes at, after
  ee.ld.qacc_l.l.128.ip \at, 16
  ee.ld.qacc_h.l.128.ip \at, 16
  ee.ld.qacc_l.h.32.ip \at, 4
  ee.ld.qacc_h.h.32.ip \at, \after
.endm

.macro store_lanes at
  ee.st.qacc_l.l.128.ip \at, 16
  ee.st.qacc_h.l.128.ip \at, 16
  ee.st.qacc_l.h.32.ip \at, 4
  ee.st.qacc_h.h.32.ip \at, -36
.endm

// The lowest and the upper digits' products, one or two of the latter. Constants come in the order
// m1, m0, c8, m2, c16, m3, c24.
.macro products_few read, second
  store_lanes a5
  \read
  load_lanes a5, -36
  ee.vmulas.s8.qacc.ld.ip q4, a8, 16, q0, q6
  ee.vmulas.s8.qacc q0, q6
  \second q6
  \second q6
  ee.srcmb.s8.qacc q2, a12, 0
  ee.ldqa.s8.128.ip a8, 16
  \second q4
  ee.vmulas.s8.qacc q2, q5
  ee.vmulas.s8.qacc.ld.ip q4, a8, 16, q0, q4
  ee.srcmb.s8.qacc q3, a11, 0
  \second q5
  ee.vmulas.s8.qacc.ld.ip q5, a8, 16, q0, q5
  ee.vmulas.s8.qacc q2, q4
  ee.vmulas.s8.qacc.ld.ip q5, a8, 16, q7, q5
  ee.srcmb.s8.qacc q3, a11, 0
  \second q4
.endm

.macro read1
  next_input q1, q7, q6
  ee.srcmb.s8.qacc q0, a11, 0
.endm
.macro second1 by
.endm
.macro last1
.endm

.macro read2
  ee.vmulas.s8.qacc q7, q6
  ee.srcmb.s8.qacc q0, a11, 0
  ee.vmulas.s8.qacc q0, q7
  ee.srcmb.s8.qacc q1, a12, 0
.endm
.macro second2 by
  ee.vmulas.s8.qacc q1, \by
.endm
.macro last2
  next_input q1, q1, q5
.endm

// Also loads the next pixel's inputs and weights, as soon as their registers are free.
.macro round_few read, second, last
  products_few \read, \second
  ee.vmulas.s8.qacc.ld.xp q4, a8, a10, q0, q4
  next_weight q2, q2, q5
  next_weight q4, q7, q4
  ee.srcmb.s8.qacc q3, a11, 0
  \last
  next_input q0, q0, q5
.endm

// Further constants: bound, d, c31.
.macro round_few_gap read, second, last
  products_few \read, \second
  ee.vmulas.s8.qacc.ld.ip q4, a8, 16, q0, q4
  ee.vmulas.s8.qacc.ld.ip q2, a8, 16, q2, q5
  ee.vmulas.s8.qacc.ld.ip q4, a8, 16, q7, q4
  ee.vcmp.gt.s8 q2, q0, q2
  ee.vmulas.s8.qacc.ld.xp q4, a8, a10, q2, q4
  next_weight_alone q2
  next_weight q4, q6, q4
  ee.srcmb.s8.qacc q3, a11, 0
  \last
  next_input q0, q0, q5
.endm

// A shift also writes a register. None is free for that here, so constants are loaded later.
.macro products3
  store_lanes a5
  ee.vmulas.s8.qacc q7, q6
  ee.srcmb.s8.qacc q0, a11, 0
  ee.vmulas.s8.qacc q0, q7
  ee.srcmb.s8.qacc q1, a12, 0
  ee.vmulas.s8.qacc q1, q7
  ee.srcmb.s8.qacc q3, a12, 0
  load_lanes a5, -36
  ee.vmulas.s8.qacc.ld.ip q4, a8, 16, q0, q6
  ee.vmulas.s8.qacc q0, q6
  ee.vmulas.s8.qacc q1, q6
  ee.vmulas.s8.qacc q1, q6
  ee.vmulas.s8.qacc q3, q6
  ee.vmulas.s8.qacc q3, q6
  ee.srcmb.s8.qacc q2, a12, 0
  ee.ldqa.s8.128.ip a8, 16
  ee.vmulas.s8.qacc q0, q4
  ee.vmulas.s8.qacc q1, q4
  ee.vmulas.s8.qacc q3, q4
  ee.vmulas.s8.qacc q2, q5
  ee.srcmb.s8.qacc q4, a11, 0
  ee.vmulas.s8.qacc.ld.ip q4, a8, 16, q1, q5
  ee.vmulas.s8.qacc q3, q5
  ee.vmulas.s8.qacc.ld.ip q5, a8, 16, q0, q5
  ee.vmulas.s8.qacc q2, q4
  ee.vmulas.s8.qacc q7, q5
  ee.srcmb.s8.qacc q5, a11, 0
  ee.vmulas.s8.qacc.ld.ip q5, a8, 16, q1, q4
  ee.vmulas.s8.qacc q3, q4
  ee.vmulas.s8.qacc.ld.ip q4, a8, 16, q0, q4
.endm

// Further constant: c39.
.macro round3
  products3
  ee.vmulas.s8.qacc q2, q5
  ee.vmulas.s8.qacc.ld.xp q4, a8, a10, q7, q4
  ee.srcmb.s8.qacc q2, a11, 0
  next_input q1, q1, q5
  next_weight q2, q6, q4
  next_weight q4, q3, q5
  next_input q0, q0, q5
.endm

// Further constants: bound, d, c31, c39.
.macro round3_gap
  products3
  ee.vmulas.s8.qacc.ld.ip q2, a8, 16, q2, q5
  ee.vmulas.s8.qacc.ld.ip q4, a8, 16, q7, q4
  ee.vcmp.gt.s8 q2, q0, q2
  ee.vmulas.s8.qacc.ld.ip q2, a8, 16, q2, q4
  ee.vld.128.xp q4, a8, a10
  ee.vmulas.s8.qacc q6, q2
  ee.srcmb.s8.qacc q2, a11, 0
  next_input q1, q1, q5
  next_weight q2, q6, q4
  next_weight q4, q3, q5
  next_input q0, q0, q5
.endm

.macro round1
  round_few read1, second1, last1
.endm
.macro round1_gap
  round_few_gap read1, second1, last1
.endm
.macro round2
  round_few read2, second2, last2
.endm
.macro round2_gap
  round_few_gap read2, second2, last2
.endm

.macro look_up_two first, second
  l8ui a3, a6, \first
  l8ui a4, a6, \second
  add a3, a3, a15
  add a4, a4, a15
  l8ui a3, a3, 0
  l8ui a4, a4, 0
  s8i a3, a6, \first
  s8i a4, a6, \second
.endm

// The table at a15 begins with the entry of -128. 68 instructions a vector.
.macro look_up_row
  loopnez a14, 1f
  ee.vld.128.ip q0, a6, 0
  ee.xorq q0, q0, q6
  ee.vst.128.ip q0, a6, 0
  look_up_two 0, 1
  look_up_two 2, 3
  look_up_two 4, 5
  look_up_two 6, 7
  look_up_two 8, 9
  look_up_two 10, 11
  look_up_two 12, 13
  look_up_two 14, 15
  add a6, a6, a9
1:
.endm
