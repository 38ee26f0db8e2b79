// Softmax in TensorFlow Lite's fixed point. Its exponentials depend on 256 differences only and
// come as a table; the reciprocal of their sum is computed here.
#include "kernels.h"
#include "requantize.h"

static int32_t shift_left_saturating(int32_t x, int32_t shift) {
  const int64_t wide = (int64_t)x * (1 << shift);
  return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

// 1 / (1 + a) for a in [0, 1], both with 31 bits of fraction: three Newton-Raphson steps from
// 48/17 - 32/17 * (1 + a) / 2, the steps with 29 bits of fraction.
static int32_t one_over_one_plus(int32_t a) {
  const int32_t half = (int32_t)(((int64_t)a + INT32_MAX + 1) >> 1);
  int32_t x = 1515870810 + doubling_high_multiply(half, -1010580540);
  for (int step = 0; step < 3; ++step) {
    const int32_t rest = (1 << 29) - doubling_high_multiply(half, x);
    x += shift_left_saturating(doubling_high_multiply(x, rest), 2);
  }
  return shift_left_saturating(x, 1);
}

void kernel_softmax(const int8_t* in, int32_t pixels, int32_t channels, const int32_t* exponentials,
                    int8_t* out) {
  for (int32_t p = 0; p < pixels; ++p, in += channels, out += channels) {
    int32_t most = -128;
    for (int32_t c = 0; c < channels; ++c) {
      if (in[c] > most) most = in[c];
    }
    uint32_t sum = 0;  // with 19 bits of fraction; the largest term is 1
    for (int32_t c = 0; c < channels; ++c) {
      sum += (uint32_t)divide_by_power_of_two(exponentials[most - in[c]], 12);
    }
    int32_t zeros = 0;  // in front of the sum
    while (!(sum << zeros >> 31)) ++zeros;
    const int32_t scale = one_over_one_plus((int32_t)((sum << zeros) - (1u << 31)));
    const int32_t shift = 35 - zeros;
    for (int32_t c = 0; c < channels; ++c) {
      const int32_t share = doubling_high_multiply(scale, exponentials[most - in[c]]);
      // With a shift beyond 31 bits every share is less than half a step.
      const int32_t steps = shift > 31 ? 0 : divide_by_power_of_two(share, shift);
      out[c] = clamp_to_int8(steps - 128);
    }
  }
}
