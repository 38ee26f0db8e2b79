// pie: rows padded to sixteen bytes; depthwise weights by sixteen channels, with what requantizes
// them.
#include <string.h>

#include "pack.h"

static int32_t round16(int32_t n) { return (n + 15) / 16 * 16; }

void pack_rows(const int8_t* weights, int32_t cout, int32_t k, int8_t* packed) {
  memset(packed, 0, (size_t)(cout * round16(k)));
  for (int32_t o = 0; o < cout; ++o) memcpy(packed + o * round16(k), weights + o * k, (size_t)k);
}

// What depthwise.S wants to know of a channel, from Requant.
static void put_constants(const Requant* requant, int32_t channel, int8_t* packed) {
  const int32_t exponent = -requant->shift[channel];
  int32_t words[4] = {0};
  if (requant->simple && exponent > 0) {
    words[0] = requant->bias[channel] * 4;
    words[1] = requant->multiplier[channel];
    words[2] = 1 + (2 * requant->zero_point + 1) * (1 << exponent);
    words[3] = exponent + 1;
  }
  memcpy(packed, words, sizeof(words));
}

void pack_depthwise(const int8_t* weights, const Window* window, const Requant* requant,
                    int8_t* packed) {
  const int32_t taps = window->kernel_height * window->kernel_width;
  const int32_t channels = window->in_channels;
  const int32_t group = taps * 16 + 256;
  memset(packed, 0, (size_t)(round16(channels) / 16 * group));
  for (int32_t c = 0; c < channels; ++c) {
    int8_t* const at = packed + c / 16 * group;
    for (int32_t t = 0; t < taps; ++t) at[t * 16 + c % 16] = weights[t * channels + c];
    put_constants(requant, c, at + taps * 16 + c % 16 * 16);
  }
}

int depthwise_bias_is_folded(void) { return 1; }

int32_t conv1x1_scratch_bytes(int32_t cin, int32_t pixels) {
  const int32_t depth = round16(cin);
  if (depth != cin) return 128 + depth * (pixels < 16 ? pixels : 16);
  return depth <= 96 ? 0 : 8 * (pixels < 64 ? pixels : 64);
}

int32_t conv_row_scratch_bytes(const Window* window) {
  const int32_t k = window->kernel_height * window->kernel_width * window->in_channels;
  return 128 + round16(k) * (window->out_width < 16 ? window->out_width : 16);
}

int32_t depthwise_scratch_bytes(const Window* window) {
  const int32_t taps = window->kernel_height * window->kernel_width;
  return 64 + round16(window->in_channels) + 4 * taps;
}
