// Kernels that every variant shares: generated code calls them seldom and for few bytes.
#include "kernels.h"

void kernel_sum(const int8_t* in, int32_t pixels, int32_t channels, int32_t* sums) {
  for (int32_t p = 0; p < pixels; ++p, in += channels) {
    for (int32_t c = 0; c < channels; ++c) sums[c] += in[c];
  }
}

void kernel_lookup(const int8_t* in, int32_t count, const int8_t* table, int8_t* out) {
  for (int32_t i = 0; i < count; ++i) out[i] = table[in[i] + 128];
}
