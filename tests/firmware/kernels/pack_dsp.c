// dsp: rows in pairs, four weights of each in turn.
#include <string.h>

#include "pack.h"

static int32_t round4(int32_t n) { return (n + 3) / 4 * 4; }

void pack_rows(const int8_t* weights, int32_t cout, int32_t k, int8_t* packed) {
  memset(packed, 0, (size_t)((cout + 1) / 2 * 2 * round4(k)));
  for (int32_t o = 0; o < cout; ++o) {
    for (int32_t i = 0; i < k; ++i) {
      packed[(o / 2 * round4(k) / 4 + i / 4) * 8 + o % 2 * 4 + i % 4] = weights[o * k + i];
    }
  }
}

void pack_depthwise(const int8_t* weights, const Window* window, int8_t* packed) {
  memcpy(packed, weights,
         (size_t)(window->kernel_height * window->kernel_width * window->in_channels));
}

int32_t conv1x1_scratch_bytes(int32_t cin) { return 8 * round4(cin); }

int32_t conv_row_scratch_bytes(const Window* window) {
  return 8 * round4(window->kernel_height * window->kernel_width * window->in_channels);
}

int32_t depthwise_scratch_bytes(const Window* window) {
  const int32_t taps = window->kernel_height * window->kernel_width;
  return round4(window->in_channels) + (int32_t)sizeof(void*) * taps;
}
