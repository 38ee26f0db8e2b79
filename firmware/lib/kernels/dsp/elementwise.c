// Addition and multiplication with the short requantization where the parameters allow it.
#include "../kernels.h"
#include "gate.h"
#include "identity.h"
#include "requantize.h"
#include "words.h"

// The condition of Requant.simple; the products and sums here are far below 2^30 for every input.
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

// Two values that are doubled and rescaled as in `scale`, if the shift is not 0. The steps of the
// two alternate, so that no instruction waits for the one before it.
static inline void scale_two(int32_t* values, const Scaled* s) {
  int32_t a = values[0], b = values[1], x, y;
  __asm__(
      "add %[x], %[half], %[a], asr #31\n"
      "add %[y], %[half], %[b], asr #31\n"
      "smmlar %[a], %[a], %[multiplier], %[x]\n"
      "smmlar %[b], %[b], %[multiplier], %[y]\n"
      "asr %[a], %[a], %[shift]\n"
      "asr %[b], %[b], %[shift]"
      : [a] "+r"(a), [b] "+r"(b), [x] "=&r"(x), [y] "=&r"(y)
      : [half] "r"(s->half), [multiplier] "r"(s->multiplier), [shift] "r"(s->shift));
  values[0] = a;
  values[1] = b;
}

// `exact` is such an input, the other one's shift is 1 or more. Everything is twice as large as in
// `scale`, as requantization wants its sum doubled. Two at a time; returns how many it did.
static int32_t add_to_exact(const int8_t* exact, int32_t exact_zero_point, const int8_t* other,
                            Scaled scaled_other, int32_t count, SimpleRequant simple,
                            const int8_t* middle_of_table, int8_t* out) {
  int32_t other_zero = scaled_other.zero_point * (1 << 21);
  int32_t exact_zero = exact_zero_point * (1 << 20);
  // Otherwise the compiler would subtract first and shift afterwards, which takes one more
  // instruction.
  __asm__("" : "+r"(other_zero), "+r"(exact_zero));
  int32_t i = 0;
  for (; i + 2 <= count; i += 2) {
    int32_t scaled_values[] = {other[i] * (1 << 21) - other_zero,
                               other[i + 1] * (1 << 21) - other_zero};
    scale_two(scaled_values, &scaled_other);
    int32_t twice[] = {exact[i] * (1 << 20) - exact_zero + 2 * scaled_values[0],
                       exact[i + 1] * (1 << 20) - exact_zero + 2 * scaled_values[1]};
    requantize_two_doubled(twice, simple);
    const int8_t first = middle_of_table[twice[0]], second = middle_of_table[twice[1]];
    out[i] = first;
    out[i + 1] = second;
  }
  return i;
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
  int32_t i = 0;
  if (is_exact(&first) && second.shift > 0) {
    i = add_to_exact(a, first.zero_point, b, second, count, simple, middle_of_table, out);
  } else if (is_exact(&second) && first.shift > 0) {
    i = add_to_exact(b, second.zero_point, a, first, count, simple, middle_of_table, out);
  }
  for (; i < count; ++i) {
    out[i] = middle_of_table[requantize_simple(scale(a[i], &first) + scale(b[i], &second), simple)];
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

void kernel_mul(const int8_t* a, const int8_t* b, int32_t count, const MulParams* params,
                int8_t* out) {
  if (!is_simple(params->shift)) {
    multiply_exactly(a, b, count, params, out);
    return;
  }
  const int8_t* const middle_of_table = middle_of(params->table);
  const SimpleRequant simple =
      simple_requant(params->multiplier, params->shift, 2 * params->zero_point + 1);
  for (; count > 0; --count) {
    const int32_t product = (*a++ - params->a_zero_point) * (*b++ - params->b_zero_point);
    *out++ = middle_of_table[requantize_simple(product, simple)];
  }
}

void kernel_mul_gate(const int8_t* in, const int8_t* gate, int32_t pixels, int32_t channels,
                     const MulParams* params, int8_t* out) {
  // A gate rarely has a table; if it has one, it is applied afterwards.
  const MulParams direct = {params->a_zero_point,
                            params->b_zero_point,
                            params->multiplier,
                            params->shift,
                            params->zero_point,
                            0,
                            0};
  const int32_t fours = is_simple(params->shift) ? channels / 4 * 4 : 0;
  const SimpleRequant simple =
      simple_requant(params->multiplier, params->shift, 2 * params->zero_point + 1);
  const uint32_t minus_zero_point = (uint32_t)-params->a_zero_point;
  for (int32_t c = 0; c < fours; c += 4) {
    uint32_t doubled[4];
    for (int32_t i = 0; i < 4; ++i) {
      doubled[i] = 2u * (uint32_t)(gate[c + i] - params->b_zero_point);
    }
    const Gate four = {.in = in + c,
                       .out = out + c,
                       .step = channels,
                       .even_gates = (int16x2_t)low_halves(doubled[0], doubled[2]),
                       .odd_gates = (int16x2_t)low_halves(doubled[1], doubled[3]),
                       .multiplier = simple.multiplier,
                       .addend = simple.addend,
                       .shift = simple.shift,
                       .offset = (int16x2_t)low_halves(minus_zero_point, minus_zero_point),
                       .in_end = in + c + pixels * channels};
    kernel_multiply_by_gates(&four);
  }
  if (fours < channels) {
    for (int32_t p = 0; p < pixels; ++p) {
      const int32_t at = p * channels + fours;
      multiply_exactly(in + at, gate + fours, channels - fours, &direct, out + at);
    }
  }
  if (params->table) kernel_lookup(out, pixels * channels, params->table, out);
}

void kernel_mean(const int32_t* sums, int32_t channels, const MeanParams* params, int8_t* out) {
  const SimpleRequant simple =
      simple_requant(params->multiplier, params->shift, 2 * params->zero_point + 1);
  const int8_t* const middle_of_table = middle_of(params->table);
  const int32_t bias = params->bias;
  if (is_simple(params->shift)) {
    for (; channels > 0; --channels) {
      *out++ = middle_of_table[requantize_simple(*sums++ + bias, simple)];
    }
    return;
  }
  for (int32_t c = 0; c < channels; ++c) {
    const int32_t sum = wrapping_add(sums[c], bias);
    out[c] =
        finish(rescale(sum, params->multiplier, params->shift), params->zero_point, params->table);
  }
}
