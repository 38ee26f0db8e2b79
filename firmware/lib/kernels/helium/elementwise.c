// Addition and multiplication, four elements at a time.
#include "../kernels.h"
#include "requantize.h"

static inline int32x4_t scale(int32x4_t x, int32_t zero_point, int32_t multiplier, int32_t shift) {
  const int32x4_t value = vshlq_n_s32(vsubq_n_s32(x, zero_point), 20);
  return rescale_lanes(value, vdupq_n_s32(multiplier), vdupq_n_s32(shift));
}

void kernel_add(const int8_t* a, const int8_t* b, int32_t count, const AddParams* params,
                int8_t* out) {
  const Finish finish = finish_of(params->zero_point, params->table);
  const int32x4_t multiplier = vdupq_n_s32(params->multiplier);
  const int32x4_t shift = vdupq_n_s32(params->shift);
  for (int32_t i = 0; i < count; i += 4) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(count - i));
    const int32x4_t x = scale(vldrbq_z_s32(a + i, lanes), params->a_zero_point,
                              params->a_multiplier, params->a_shift);
    const int32x4_t y = scale(vldrbq_z_s32(b + i, lanes), params->b_zero_point,
                              params->b_multiplier, params->b_shift);
    const int32x4_t sum = rescale_lanes(vaddq_s32(x, y), multiplier, shift);
    vstrbq_p_s32(out + i, finish_lanes(sum, &finish), lanes);
  }
}

void kernel_mul(const int8_t* a, const int8_t* b, int32_t count, const MulParams* params,
                int8_t* out) {
  const Finish finish = finish_of(params->zero_point, params->table);
  const int32x4_t multiplier = vdupq_n_s32(params->multiplier);
  const int32x4_t shift = vdupq_n_s32(params->shift);
  const int right = params->shift < 0;
  for (int32_t i = 0; i < count; i += 4) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(count - i));
    const int32x4_t x = vsubq_n_s32(vldrbq_z_s32(a + i, lanes), params->a_zero_point);
    const int32x4_t y = vsubq_n_s32(vldrbq_z_s32(b + i, lanes), params->b_zero_point);
    const int32x4_t product = vmulq_s32(x, y);
    const int32x4_t rescaled = right ? rescale_lanes_right(product, multiplier, shift)
                                     : rescale_lanes(product, multiplier, shift);
    vstrbq_p_s32(out + i, finish_lanes(rescaled, &finish), lanes);
  }
}

void kernel_mul_gate(const int8_t* in, const int8_t* gate, int32_t pixels, int32_t channels,
                     const MulParams* params, int8_t* out) {
  for (int32_t p = 0; p < pixels; ++p, in += channels, out += channels) {
    kernel_mul(in, gate, channels, params, out);
  }
}
