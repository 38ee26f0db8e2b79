// Depthwise convolution: for each output pixel the pointers to the pixels under its window, then
// channel by channel over them.
#include <string.h>

#include "../kernels.h"
#include "../requantize.h"

static void point_at_pixels(const int8_t* const* rows, const Window* window, int32_t first_column,
                            const int8_t* outside, const int8_t** taps) {
  for (int32_t y = 0; y < window->kernel_height; ++y) {
    for (int32_t x = first_column; x < first_column + window->kernel_width; ++x) {
      const int inside = rows[y] && x >= 0 && x < window->in_width;
      *taps++ = inside ? rows[y] + x * window->in_channels : outside;
    }
  }
}

static void convolve_pixel(const int8_t* const* taps, int32_t tap_count, int32_t channels,
                           const int8_t* weights, const Requant* requant, int8_t* out) {
  for (int32_t c = 0; c < channels; ++c) {
    const int8_t* weight = weights + c;
    int32_t sum = 0;
    for (int32_t t = 0; t < tap_count; ++t, weight += channels) sum += taps[t][c] * *weight;
    sum = wrapping_add(sum, requant->bias[c]);
    out[c] = finish(rescale(sum, requant->multiplier[c], requant->shift[c]), requant->zero_point,
                    requant->table);
  }
}

void kernel_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                          const Requant* requant, int8_t* out, int32_t* sums, void* scratch) {
  const int32_t channels = window->in_channels;
  const int32_t tap_count = window->kernel_height * window->kernel_width;
  const int8_t** taps = scratch;
  int8_t* outside = (int8_t*)(taps + tap_count);
  memset(outside, window->pad_value, (size_t)channels);
  int32_t first_column = -window->pad_left;
  for (int32_t x = 0; x < window->out_width; ++x, out += channels) {
    point_at_pixels(rows, window, first_column, outside, taps);
    convolve_pixel(taps, tap_count, channels, weights, requant, out);
    if (sums) kernel_sum(out, 1, channels, sums);
    first_column += window->stride;
  }
}
