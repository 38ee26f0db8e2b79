// Addition and multiplication, four elements at a time. Full vectors of four have no predicate,
// which would cost more than their work; one more vector, with a predicate, ends the row.
#include "../always_inline.h"
#include "../kernels.h"
#include "requantize.h"

typedef struct {
  int32_t zero_point;
  int32x4_t multiplier;
  int32x4_t shift;
  int right;  // no shift to the left
} Scaled;

static inline Scaled scaled(int32_t zero_point, int32_t multiplier, int32_t shift) {
  return (Scaled){zero_point, vdupq_n_s32(multiplier), vdupq_n_s32(shift), shift <= 0};
}

ALWAYS_INLINE int32x4_t rescale_by(int32x4_t x, const Scaled* by) {
  return by->right ? rescale_lanes_right(x, by->multiplier, by->shift)
                   : rescale_lanes(x, by->multiplier, by->shift);
}

ALWAYS_INLINE int32x4_t scale_input(int32x4_t x, const Scaled* by) {
  return rescale_by(vshlq_n_s32(vsubq_n_s32(x, by->zero_point), 20), by);
}

ALWAYS_INLINE int32x4_t add_lanes(int32x4_t a, int32x4_t b, const Scaled* scaled_a,
                                  const Scaled* scaled_b, const Scaled* result,
                                  const Finish* finish) {
  const int32x4_t sum = vaddq_s32(scale_input(a, scaled_a), scale_input(b, scaled_b));
  return finish_lanes(rescale_by(sum, result), finish);
}

// One input of a sum, as AddParams has it.
typedef struct {
  const int8_t* values;
  int32_t zero_point, multiplier, shift;
} Input;

// If the input with the larger scale has this factor, a half, rescaling it is exact.
static inline int is_half(const Input* input) {
  return input->multiplier == 1 << 30 && input->shift == 0;
}

// Vectors of four with a half and an input that is shifted to the right; a shift of the sum to the
// right; no table. VQRDMLAH adds its product to the term that makes the shift round half away from
// zero.
static __attribute__((noinline)) void add_vectors(const Input* half, const Input* other,
                                                  int32_t vectors, const AddParams* params,
                                                  int8_t* out) {
  const int8_t *a = half->values, *b = other->values;
  __asm__ volatile(
      "dls lr, %[vectors]\n"
      "1: vldrb.s32 q0, [%[a]], #4\n"
      "vldrb.s32 q1, [%[b]], #4\n"
      "vsub.i32 q0, q0, %q[zero_a]\n"
      "vsub.i32 q1, q1, %q[zero_b]\n"
      "vshl.i32 q0, q0, #19\n"
      "vshl.i32 q1, q1, #20\n"
      "vshr.s32 q2, q1, #31\n"
      "vqrdmlah.s32 q2, q1, %[multiplier_b]\n"
      "vrshl.s32 q2, %[shift_b]\n"
      "vadd.i32 q0, q0, q2\n"
      "vshr.s32 q1, q0, #31\n"
      "vqrdmlah.s32 q1, q0, %[multiplier]\n"
      "vrshl.s32 q1, %[shift]\n"
      "vqadd.s32 q0, q1, %[zero_out]\n" SATURATE("q0", "q1", "")
      "vstrb.32 q0, [%[out]], #4\n"
      "le lr, 1b"
      : [a] "+l"(a), [b] "+l"(b), [out] "+l"(out)
      : [vectors] "r"(vectors), [zero_a] "w"(vdupq_n_s32(half->zero_point)),
        [zero_b] "w"(vdupq_n_s32(other->zero_point)),
        [multiplier_b] "r"(other->multiplier), [shift_b] "r"(other->shift),
        [multiplier] "r"(params->multiplier), [shift] "r"(params->shift),
        [zero_out] "r"(params->zero_point)
      : "q0", "q1", "q2", "lr", "memory");
}

void kernel_add(const int8_t* a, const int8_t* b, int32_t count, const AddParams* params,
                int8_t* out) {
  const Finish finish = finish_of(params->zero_point, params->table);
  const Scaled scaled_a = scaled(params->a_zero_point, params->a_multiplier, params->a_shift);
  const Scaled scaled_b = scaled(params->b_zero_point, params->b_multiplier, params->b_shift);
  const Scaled result = scaled(0, params->multiplier, params->shift);
  const Input left = {a, params->a_zero_point, params->a_multiplier, params->a_shift};
  const Input right = {b, params->b_zero_point, params->b_multiplier, params->b_shift};
  const Input *half = is_half(&left) ? &left : &right, *other = half == &left ? &right : &left;
  int32_t i = 0;
  if (count >= 4 && is_half(half) && other->shift < 0 && params->shift < 0 && !params->table) {
    i = count / 4 * 4;
    add_vectors(half, other, count / 4, params, out);
  }
  for (; i + 4 <= count; i += 4) {
    const int32x4_t sum =
        add_lanes(vldrbq_s32(a + i), vldrbq_s32(b + i), &scaled_a, &scaled_b, &result, &finish);
    vstrbq_s32(out + i, sum);
  }
  if (i < count) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(count - i));
    const int32x4_t sum = add_lanes(vldrbq_z_s32(a + i, lanes), vldrbq_z_s32(b + i, lanes),
                                    &scaled_a, &scaled_b, &result, &finish);
    vstrbq_p_s32(out + i, sum, lanes);
  }
}

ALWAYS_INLINE int32x4_t multiply_lanes(int32x4_t a, int32x4_t b, int32_t b_zero_point,
                                       const Scaled* by, const Finish* finish) {
  const int32x4_t product = vmulq_s32(vsubq_n_s32(a, by->zero_point), vsubq_n_s32(b, b_zero_point));
  return finish_lanes(rescale_by(product, by), finish);
}

void kernel_mul(const int8_t* a, const int8_t* b, int32_t count, const MulParams* params,
                int8_t* out) {
  const Finish finish = finish_of(params->zero_point, params->table);
  const Scaled by = scaled(params->a_zero_point, params->multiplier, params->shift);
  const int32_t b_zero_point = params->b_zero_point;
  int32_t i = 0;
  for (; i + 4 <= count; i += 4) {
    vstrbq_s32(out + i,
               multiply_lanes(vldrbq_s32(a + i), vldrbq_s32(b + i), b_zero_point, &by, &finish));
  }
  if (i < count) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(count - i));
    const int32x4_t product = multiply_lanes(vldrbq_z_s32(a + i, lanes), vldrbq_z_s32(b + i, lanes),
                                             b_zero_point, &by, &finish);
    vstrbq_p_s32(out + i, product, lanes);
  }
}

// Four channels of every pixel by gates less their zero point; no table, a shift to the right.
// VQRDMLAH adds its product to the term that makes the shift round half away from zero.
static void multiply_four(const int8_t* in, int32x4_t gates, int32_t pixels, int32_t step,
                          const MulParams* params, int8_t* out) {
  __asm__ volatile(
      "dls lr, %[pixels]\n"
      "1: vldrb.s32 q0, [%[in]]\n"
      "add %[in], %[step]\n"
      "vsub.i32 q0, q0, %[zero_in]\n"
      "vmul.i32 q0, q0, %q[gates]\n"
      "vshr.s32 q1, q0, #31\n"
      "vqrdmlah.s32 q1, q0, %[multiplier]\n"
      "vrshl.s32 q1, %[shift]\n"
      "vqadd.s32 q0, q1, %[zero_out]\n" SATURATE("q0", "q1", "")
      "vstrb.32 q0, [%[out]]\n"
      "add %[out], %[step]\n"
      "le lr, 1b"
      : [in] "+l"(in), [out] "+l"(out)
      : [pixels] "r"(pixels), [step] "r"(step), [gates] "w"(gates), [multiplier] "r"(params->multiplier),
        [shift] "r"(params->shift), [zero_in] "r"(params->a_zero_point),
        [zero_out] "r"(params->zero_point)
      : "q0", "q1", "lr", "memory");
}

void kernel_mul_gate(const int8_t* in, const int8_t* gate, int32_t pixels, int32_t channels,
                     const MulParams* params, int8_t* out) {
  // A gate has seldom a table, and hardly ever no shift.
  const int32_t fours = params->shift < 0 && !params->table ? channels / 4 * 4 : 0;
  for (int32_t c = 0; c < fours; c += 4) {
    const int32x4_t gates = vsubq_n_s32(vldrbq_s32(gate + c), params->b_zero_point);
    multiply_four(in + c, gates, pixels, channels, params, out + c);
  }
  if (fours == channels) return;
  for (int32_t p = 0; p < pixels; ++p) {
    const int32_t at = p * channels + fours;
    kernel_mul(in + at, gate + fours, channels - fours, params, out + at);
  }
}

void kernel_mean(const int32_t* sums, int32_t channels, const MeanParams* params, int8_t* out) {
  const Finish finish = finish_of(params->zero_point, params->table);
  const Scaled by = scaled(0, params->multiplier, params->shift);
  int32_t c = 0;
  for (; c + 4 <= channels; c += 4) {
    const int32x4_t sum = vaddq_n_s32(vldrwq_s32(sums + c), params->bias);
    vstrbq_s32(out + c, finish_lanes(rescale_by(sum, &by), &finish));
  }
  if (c < channels) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(channels - c));
    const int32x4_t sum = vaddq_n_s32(vldrwq_z_s32(sums + c, lanes), params->bias);
    vstrbq_p_s32(out + c, finish_lanes(rescale_by(sum, &by), &finish), lanes);
  }
}
