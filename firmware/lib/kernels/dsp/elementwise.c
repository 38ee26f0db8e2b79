// Addition and multiplication with the short requantisation where the parameters allow it.
#include "../kernels.h"
#include "identity.h"
#include "requantize.h"

// As Requant.simple; the products and sums here are far below 2^30 whatever the input.
static int is_simple(int32_t shift) { return shift >= -22 && shift <= -1; }

// (x - zero_point) * 2^20 rescaled by a multiplier and a right shift of 0 or more.
typedef struct {
  int32_t zero_point;
  int32_t multiplier;
  int32_t shift;
  int32_t half;       // what rounds the shift: 2^(shift - 1), or 0
  int32_t sign_mask;  // -1, or 0 where nothing is shifted and so nothing rounded
} Scaled;

static Scaled scaled(int32_t zero_point, int32_t multiplier, int32_t shift) {
  const int32_t right = -shift;
  return (Scaled){zero_point, multiplier, right, right ? (int32_t)(1u << (right - 1)) : 0,
                  right ? -1 : 0};
}

static inline int32_t scale(int8_t x, const Scaled* s) {
  const int32_t value = x - s->zero_point;
  const int32_t addend = s->half + ((value >> 31) & s->sign_mask);
  return multiply_add_high(addend, value * (1 << 21), s->multiplier) >> s->shift;
}

void kernel_add(const int8_t* a, const int8_t* b, int32_t count, const AddParams* params,
                int8_t* out) {
  const Scaled first = scaled(params->a_zero_point, params->a_multiplier, params->a_shift);
  const Scaled second = scaled(params->b_zero_point, params->b_multiplier, params->b_shift);
  const int8_t* const table = params->table ? params->table : kernel_identity_table;
  // Beyond 2^30 the rounding of an input's own shift would overflow.
  if (!is_simple(params->shift) || first.shift > 30 || second.shift > 30) {
    for (int32_t i = 0; i < count; ++i) {
      const int32_t x =
          rescale((a[i] - first.zero_point) * (1 << 20), first.multiplier, -first.shift);
      const int32_t y =
          rescale((b[i] - second.zero_point) * (1 << 20), second.multiplier, -second.shift);
      out[i] = finish(rescale(x + y, params->multiplier, params->shift), params->zero_point, table);
    }
    return;
  }
  const SimpleRequant simple =
      simple_requant(params->multiplier, params->shift, 2 * params->zero_point + 1);
  for (int32_t i = 0; i < count; ++i) {
    out[i] = table[requantize_simple(scale(a[i], &first) + scale(b[i], &second), simple) + 128];
  }
}

// Also one pixel by its gate.
static void multiply(const int8_t* a, const int8_t* b, int32_t count, const MulParams* params,
                     int8_t* out) {
  const int8_t* const table = params->table ? params->table : kernel_identity_table;
  const int32_t a_zero_point = params->a_zero_point, b_zero_point = params->b_zero_point;
  if (!is_simple(params->shift)) {
    for (int32_t i = 0; i < count; ++i) {
      const int32_t x = (a[i] - a_zero_point) * (b[i] - b_zero_point);
      out[i] = finish(rescale(x, params->multiplier, params->shift), params->zero_point, table);
    }
    return;
  }
  const SimpleRequant simple =
      simple_requant(params->multiplier, params->shift, 2 * params->zero_point + 1);
  for (int32_t i = 0; i < count; ++i) {
    const int32_t x = (a[i] - a_zero_point) * (b[i] - b_zero_point);
    out[i] = table[requantize_simple(x, simple) + 128];
  }
}

void kernel_mul(const int8_t* a, const int8_t* b, int32_t count, const MulParams* params,
                int8_t* out) {
  multiply(a, b, count, params, out);
}

void kernel_mul_gate(const int8_t* in, const int8_t* gate, int32_t pixels, int32_t channels,
                     const MulParams* params, int8_t* out) {
  for (int32_t p = 0; p < pixels; ++p, in += channels, out += channels) {
    multiply(in, gate, channels, params, out);
  }
}
