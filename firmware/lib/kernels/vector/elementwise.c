// Addition and multiplication. Results are written to a separate block first: where an output may
// be an input, a compiler could not vectorize the loop otherwise.
#include <string.h>

#include "../kernels.h"
#include "rescale.h"

enum { kBlock = 256 };

static int32_t block_of(int32_t left) { return left < kBlock ? left : kBlock; }

// `values` are the results before the table.
static void put(int8_t* values, int32_t count, const int8_t* table, int8_t* out) {
  look_up(values, count, table);
  memcpy(out, values, (size_t)count);
}

void kernel_add(const int8_t* a, const int8_t* b, int32_t count, const AddParams* params,
                int8_t* out) {
  const AddParams p = *params;
  while (count > 0) {
    const int32_t some = block_of(count);
    int8_t values[kBlock];
    for (int32_t i = 0; i < some; ++i) {
      const int32_t x =
          rescale_plainly((a[i] - p.a_zero_point) * (1 << 20), p.a_multiplier, p.a_shift);
      const int32_t y =
          rescale_plainly((b[i] - p.b_zero_point) * (1 << 20), p.b_multiplier, p.b_shift);
      values[i] = saturate(rescale_plainly(x + y, p.multiplier, p.shift), p.zero_point);
    }
    put(values, some, p.table, out);
    a += some;
    b += some;
    out += some;
    count -= some;
  }
}

void kernel_mul(const int8_t* a, const int8_t* b, int32_t count, const MulParams* params,
                int8_t* out) {
  const MulParams p = *params;
  while (count > 0) {
    const int32_t some = block_of(count);
    int8_t values[kBlock];
    for (int32_t i = 0; i < some; ++i) {
      const int32_t product = (a[i] - p.a_zero_point) * (b[i] - p.b_zero_point);
      values[i] = saturate(rescale_plainly(product, p.multiplier, p.shift), p.zero_point);
    }
    put(values, some, p.table, out);
    a += some;
    b += some;
    out += some;
    count -= some;
  }
}

void kernel_mul_gate(const int8_t* in, const int8_t* gate, int32_t pixels, int32_t channels,
                     const MulParams* params, int8_t* out) {
  for (int32_t p = 0; p < pixels; ++p, in += channels, out += channels) {
    kernel_mul(in, gate, channels, params, out);
  }
}

void kernel_mean(const int32_t* sums, int32_t channels, const MeanParams* params, int8_t* out) {
  for (int32_t c = 0; c < channels; ++c) {
    const int32_t sum = wrapping_add(sums[c], params->bias);
    out[c] =
        finish(rescale(sum, params->multiplier, params->shift), params->zero_point, params->table);
  }
}
