// Depthwise convolution, up to 64 channels at a time: tap by tap over all of them, so that channels
// become the lanes of vectors.
#include <string.h>

#include "../kernels.h"
#include "rescale.h"

enum { kGroup = 64 };

static void add_tap(const int8_t* restrict pixel, const int8_t* restrict weights, int32_t count,
                    int32_t* restrict totals) {
  for (int32_t c = 0; c < count; ++c) {
    const int16_t product = (int16_t)(pixel[c] * weights[c]);
    totals[c] += product;
  }
}

// Channels `first` and up of one output pixel.
static void convolve(const int8_t* const* rows, const Window* window, int32_t first_column,
                     int32_t first, int32_t count, const int8_t* weights, const Requant* requant,
                     const int8_t* outside, int8_t* out) {
  const int32_t channels = window->in_channels;
  int32_t totals[kGroup] = {0};
  weights += first;
  for (int32_t y = 0; y < window->kernel_height; ++y) {
    for (int32_t x = 0; x < window->kernel_width; ++x, weights += channels) {
      const int32_t column = first_column + x;
      const int inside = rows[y] && column >= 0 && column < window->in_width;
      const int8_t* const pixel = inside ? rows[y] + column * channels + first : outside;
      if (count == kGroup) {
        add_tap(pixel, weights, kGroup, totals);
      } else {
        add_tap(pixel, weights, count, totals);
      }
    }
  }
  requantize_channels(totals, first, count, requant, out + first);
}

void kernel_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                          const Requant* requant, int8_t* out, int32_t* sums, void* scratch) {
  (void)scratch;
  const int32_t channels = window->in_channels;
  int8_t outside[kGroup];
  memset(outside, window->pad_value, sizeof(outside));
  int32_t first_column = -window->pad_left;
  for (int32_t x = 0; x < window->out_width; ++x, first_column += window->stride) {
    for (int32_t first = 0; first < channels; first += kGroup) {
      const int32_t count = channels - first < kGroup ? channels - first : kGroup;
      convolve(rows, window, first_column, first, count, weights, requant, outside, out);
    }
    if (sums) {
      for (int32_t c = 0; c < channels; ++c) sums[c] += out[c];
    }
    out += channels;
  }
}
