// Requantization of four lanes. VQRDMULH is the doubling high multiply; VRSHL rounds half up. To
// round half away from zero, 1 is first subtracted from a negative value that is shifted.
#ifndef FIRMWARE_LIB_KERNELS_HELIUM_REQUANTIZE_H_
#define FIRMWARE_LIB_KERNELS_HELIUM_REQUANTIZE_H_

#include <arm_mve.h>
#include <stdint.h>

#include "../kernels.h"

static inline int32x4_t rescale_lanes(int32x4_t x, int32x4_t multiplier, int32x4_t shift) {
  const int32x4_t left = vmaxq_s32(shift, vdupq_n_s32(0));
  const int32x4_t right = vminq_s32(shift, vdupq_n_s32(0));
  const int32x4_t y = vqrdmulhq_s32(vshlq_s32(x, left), multiplier);
  return vrshlq_s32(vaddq_s32(y, vshrq_n_s32(vandq_s32(y, right), 31)), right);
}

// The same where no shift is to the left. A shift of 0 does not round, so nothing is subtracted.
static inline int32x4_t rescale_lanes_right(int32x4_t x, int32x4_t multiplier, int32x4_t shift) {
  const int32x4_t y = vqrdmulhq_s32(x, multiplier);
  return vrshlq_s32(vaddq_s32(y, vshrq_n_s32(vandq_s32(y, shift), 31)), shift);
}

// Zero point, clamp and table; a table is indexed by q + 128, so then 128 is added to everything.
typedef struct {
  int32_t zero_point;
  int32_t low;
  int32_t high;
  const int8_t* table;
} Finish;

static inline Finish finish_of(int32_t zero_point, const int8_t* table) {
  const int32_t up = table ? 128 : 0;
  return (Finish){zero_point + up, up - 128, up + 127, table};
}

static inline int32x4_t finish_lanes(int32x4_t x, const Finish* finish) {
  x = vqaddq_n_s32(x, finish->zero_point);
  x = vmaxq_s32(x, vdupq_n_s32(finish->low));
  x = vminq_s32(x, vdupq_n_s32(finish->high));
  if (finish->table) x = vldrbq_gather_offset_s32(finish->table, vreinterpretq_u32_s32(x));
  return x;
}

// For assembly: rescales q0 where Requant.simple is 2. The sum's sign is used instead of the
// product's: they differ only where the product is 0, and 0 - 1 rounds to 0 as well. q1 is changed.
#define RESCALE(multiplier, shift)   \
  "vshr.s32 q1, q0, #31\n"           \
  "vqrdmulh.s32 q0, q0, " multiplier \
  "\n"                               \
  "vadd.i32 q0, q0, q1\n"            \
  "vrshl.s32 q0, q0, " shift "\n"

// x, its zero point added, clamped by a shift to the top byte, which saturates, and back; and
// looked up, if 128 was added as well. `other` is changed.
#define SATURATE(x, other, table) \
  "vqshl.s32 " x ", " x           \
  ", #24\n"                       \
  "vshr.s32 " x ", " x ", #24\n"
#define LOOK_UP_SATURATED(x, other, table) \
  "vqshlu.s32 " x ", " x                   \
  ", #24\n"                                \
  "vshr.u32 " other ", " x                 \
  ", #24\n"                                \
  "vldrb.s32 " x ", [" table ", " other "]\n"

#endif  // FIRMWARE_LIB_KERNELS_HELIUM_REQUANTIZE_H_
