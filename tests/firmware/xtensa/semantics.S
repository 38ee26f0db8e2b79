// What semantics_main.cc asks of the machine: a2 and a3 are inputs, a4 is where the result goes.

.macro of_two name, instruction
\name:
  entry a1, 32
  ee.vld.128.ip q0, a2, 0
  ee.vld.128.ip q1, a3, 0
  \instruction q2, q0, q1
  ee.vst.128.ip q2, a4, 0
  retw.n
.endm

  of_two vadds_s8, ee.vadds.s8
  of_two vsubs_s32, ee.vsubs.s32
  of_two xorq, ee.xorq
  of_two vcmp_eq_s8, ee.vcmp.eq.s8
  of_two vcmp_gt_s8, ee.vcmp.gt.s8
  of_two vcmp_lt_s8, ee.vcmp.lt.s8
  of_two vcmp_lt_s16, ee.vcmp.lt.s16

vunzip_8:
  entry a1, 32
  ee.vld.128.ip q0, a2, 0
  ee.vld.128.ip q1, a3, 0
  ee.vunzip.8 q0, q1
  ee.vst.128.ip q0, a4, 16
  ee.vst.128.ip q1, a4, 0
  retw.n

// The sum of products once, its two words; the load into a register that is multiplied comes after.
accx:
  entry a1, 32
  ee.zero.accx
  ee.vld.128.ip q0, a2, 0
  ee.vmulas.s8.accx.ld.ip q0, a3, 0, q0, q0
  rur.accx_0 a5
  rur.accx_1 a6
  s32i a5, a4, 0
  s32i a6, a4, 4
  ee.vst.128.ip q0, a4, 0
  s32i a5, a4, 0
  s32i a6, a4, 4
  retw.n

negative_accx:
  entry a1, 32
  ee.zero.accx
  ee.vld.128.ip q0, a2, 0
  ee.vld.128.ip q1, a3, 0
  ee.vmulas.s8.accx q0, q1
  rur.accx_0 a5
  rur.accx_1 a6
  s32i a5, a4, 0
  s32i a6, a4, 4
  retw.n

// Read twice: the second time what the first has left shifted.
srcmb_twice:
  entry a1, 32
  ee.zero.qacc
  ee.vld.128.ip q0, a2, 0
  ee.vld.128.ip q1, a3, 0
  ee.vmulas.s16.qacc q0, q1
  movi a5, 5
  movi a6, 0
  ee.srcmb.s16.qacc q2, a5, 0
  ee.vst.128.ip q2, a4, 16
  ee.srcmb.s16.qacc q2, a6, 0
  ee.vst.128.ip q2, a4, 0
  retw.n

// Times the fourth byte of a register; the load into a register that is multiplied comes after.
vsmulas:
  entry a1, 32
  ee.zero.qacc
  ee.vld.128.ip q0, a2, 0
  ee.vld.128.ip q1, a3, 0
  ee.vsmulas.s8.qacc.ld.incp q1, a2, q0, q1, 3
  movi a5, 0
  ee.srcmb.s8.qacc q2, a5, 0
  ee.vst.128.ip q2, a4, 16
  ee.vst.128.ip q1, a4, 0
  retw.n

// Sixteen bytes as lanes of 20 bits, times 100, read by shifts of 3 and then of 2 more.
lanes_twice:
  entry a1, 32
  ee.ldqa.s8.128.ip a2, 0
  ee.vld.128.ip q0, a2, 0
  ee.vld.128.ip q1, a3, 0
  ee.vmulas.s8.qacc q0, q1
  movi a5, 3
  movi a6, 2
  ee.srcmb.s8.qacc q2, a5, 0
  ee.vst.128.ip q2, a4, 16
  ee.srcmb.s8.qacc q2, a6, 0
  ee.vst.128.ip q2, a4, 0
  retw.n

unaligned:
  entry a1, 32
  addi a2, a2, 3
  ee.ld.128.usar.ip q0, a2, 16
  ee.vld.128.ip q1, a3, 0
  ee.src.q q2, q0, q1
  ee.vst.128.ip q2, a4, 0
  retw.n

// The accumulators of 20 bits saturate; stored they lie packed, five bytes a pair.
packed:
  entry a1, 32
  ee.zero.qacc
  ee.vld.128.ip q0, a2, 0
  ee.vld.128.ip q1, a3, 0
  movi a5, 40
  loopnez a5, 1f
  ee.vmulas.s8.qacc q0, q1
1:
  ee.st.qacc_l.l.128.ip a4, 16
  retw.n

scalars:
  entry a1, 32
  l32i a5, a2, 0
  l32i a6, a3, 0
  mulsh a7, a5, a6
  s32i a7, a4, 0
  clamps a7, a5, 7
  s32i a7, a4, 4
  sext a7, a5, 19
  s32i a7, a4, 8
  ssai 20
  src a7, a5, a6
  s32i a7, a4, 12
  retw.n

misaligned:
  entry a1, 32
  addi a2, a2, 3
  ee.vld.128.ip q0, a2, 0
  retw.n

beyond:
  entry a1, 32
  l32i a5, a2, 16
  retw.n
