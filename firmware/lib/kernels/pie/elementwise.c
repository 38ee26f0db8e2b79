// Addition and multiplication, one element at a time.
#include "../kernels.h"
#include "../requantize.h"

void kernel_add(const int8_t* a, const int8_t* b, int32_t count, const AddParams* params,
                int8_t* out) {
  for (int32_t i = 0; i < count; ++i) {
    const int32_t first =
        rescale((a[i] - params->a_zero_point) * (1 << 20), params->a_multiplier, params->a_shift);
    const int32_t second =
        rescale((b[i] - params->b_zero_point) * (1 << 20), params->b_multiplier, params->b_shift);
    out[i] = finish(rescale(first + second, params->multiplier, params->shift), params->zero_point,
                    params->table);
  }
}

static int8_t product(int8_t a, int8_t b, const MulParams* params) {
  const int32_t x = (a - params->a_zero_point) * (b - params->b_zero_point);
  return finish(rescale(x, params->multiplier, params->shift), params->zero_point, params->table);
}

void kernel_mul(const int8_t* a, const int8_t* b, int32_t count, const MulParams* params,
                int8_t* out) {
  for (int32_t i = 0; i < count; ++i) out[i] = product(a[i], b[i], params);
}

void kernel_mul_gate(const int8_t* in, const int8_t* gate, int32_t pixels, int32_t channels,
                     const MulParams* params, int8_t* out) {
  for (int32_t p = 0; p < pixels; ++p, in += channels, out += channels) {
    for (int32_t c = 0; c < channels; ++c) out[c] = product(in[c], gate[c], params);
  }
}

void kernel_mean(const int32_t* sums, int32_t channels, const MeanParams* params, int8_t* out) {
  for (int32_t c = 0; c < channels; ++c) {
    const int32_t sum = wrapping_add(sums[c], params->bias);
    out[c] =
        finish(rescale(sum, params->multiplier, params->shift), params->zero_point, params->table);
  }
}
