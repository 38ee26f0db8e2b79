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

// The input of the larger scale has the multiplier 2^30 and no shift: its value times 2^19,
// exactly.
static int is_exact(const Scaled* s) { return s->multiplier == 1 << 30 && s->shift == 0; }

// `exact` is such an input, the other one's shift is 1 or more.
static void add_to_exact(const int8_t* exact, int32_t exact_zero_point, const int8_t* other,
                         Scaled scaled_other, int32_t count, SimpleRequant simple,
                         const int8_t* middle_of_table, int8_t* out) {
  for (; count > 0; --count) {
    const int32_t value = *other++ - scaled_other.zero_point;
    const int32_t scaled_value = multiply_add_high(scaled_other.half + (value >> 31),
                                                   value * (1 << 21), scaled_other.multiplier);
    const int32_t sum =
        (scaled_value >> scaled_other.shift) + (*exact++ - exact_zero_point) * (1 << 19);
    *out++ = middle_of_table[requantize_simple(sum, simple)];
  }
}

static void add_exactly(const int8_t* a, const int8_t* b, int32_t count, const AddParams* params,
                        int8_t* out) {
  for (int32_t i = 0; i < count; ++i) {
    const int32_t x =
        rescale((a[i] - params->a_zero_point) * (1 << 20), params->a_multiplier, params->a_shift);
    const int32_t y =
        rescale((b[i] - params->b_zero_point) * (1 << 20), params->b_multiplier, params->b_shift);
    out[i] = finish(rescale(x + y, params->multiplier, params->shift), params->zero_point,
                    params->table);
  }
}

void kernel_add(const int8_t* a, const int8_t* b, int32_t count, const AddParams* params,
                int8_t* out) {
  const Scaled first = scaled(params->a_zero_point, params->a_multiplier, params->a_shift);
  const Scaled second = scaled(params->b_zero_point, params->b_multiplier, params->b_shift);
  const int8_t* const middle_of_table = middle_of(params->table);
  // Beyond 30 the rounding of an input's own shift would overflow.
  if (!is_simple(params->shift) || first.shift > 30 || second.shift > 30) {
    add_exactly(a, b, count, params, out);
    return;
  }
  const SimpleRequant simple =
      simple_requant(params->multiplier, params->shift, 2 * params->zero_point + 1);
  if (is_exact(&first) && second.shift > 0) {
    add_to_exact(a, first.zero_point, b, second, count, simple, middle_of_table, out);
  } else if (is_exact(&second) && first.shift > 0) {
    add_to_exact(b, second.zero_point, a, first, count, simple, middle_of_table, out);
  } else {
    for (int32_t i = 0; i < count; ++i) {
      out[i] =
          middle_of_table[requantize_simple(scale(a[i], &first) + scale(b[i], &second), simple)];
    }
  }
}

static void multiply_exactly(const int8_t* a, const int8_t* b, int32_t count,
                             const MulParams* params, int8_t* out) {
  for (int32_t i = 0; i < count; ++i) {
    const int32_t x = (a[i] - params->a_zero_point) * (b[i] - params->b_zero_point);
    out[i] =
        finish(rescale(x, params->multiplier, params->shift), params->zero_point, params->table);
  }
}

// Also one pixel by its gate.
static void multiply(const int8_t* a, const int8_t* b, int32_t count, const MulParams* params,
                     int8_t* out) {
  if (!is_simple(params->shift)) {
    multiply_exactly(a, b, count, params, out);
    return;
  }
  const int8_t* const middle_of_table = middle_of(params->table);
  const int32_t a_zero_point = params->a_zero_point, b_zero_point = params->b_zero_point;
  const SimpleRequant simple =
      simple_requant(params->multiplier, params->shift, 2 * params->zero_point + 1);
#define MULTIPLY(i) \
  out[i] = middle_of_table[requantize_simple((a[i] - a_zero_point) * (b[i] - b_zero_point), simple)]
  for (; count >= 4; count -= 4, a += 4, b += 4, out += 4) {
    MULTIPLY(0);
    MULTIPLY(1);
    MULTIPLY(2);
    MULTIPLY(3);
  }
  for (int32_t i = 0; i < count; ++i) MULTIPLY(i);
#undef MULTIPLY
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
