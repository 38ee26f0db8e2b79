// Depthwise convolution: for each output pixel the addresses of the pixels under its window, from
// which depthwise.S computes all channels.
#include <string.h>

#include "../kernels.h"
#include "../requantize.h"
#include "pie.h"

enum { kMostTaps = 31, kImageBytes = 64, kConstantBytes = 256 };

typedef void DepthwiseFunction(PieDepthwise* depthwise);
static DepthwiseFunction* const kFunctions[2][2] = {
    {pie_depthwise, pie_depthwise_sums}, {pie_depthwise_table, pie_depthwise_table_sums}};

static void point_at_pixels(const int8_t* const* rows, const Window* window, int32_t first_column,
                            const int8_t* outside, uint32_t* taps) {
  for (int32_t y = 0; y < window->kernel_height; ++y) {
    for (int32_t x = first_column; x < first_column + window->kernel_width; ++x) {
      const int inside = rows[y] && x >= 0 && x < window->in_width;
      *taps++ = word_of(inside ? rows[y] + x * window->in_channels : outside);
    }
  }
}

// What the assembly does not promise to: any shift, any sum, any number of taps and channels.
static void convolve_any(const int8_t* const* rows, const Window* window, int32_t first_column,
                         const int8_t* weights, const Requant* requant, int8_t* out) {
  const int32_t channels = window->in_channels, width = window->kernel_width;
  const int32_t taps = window->kernel_height * width;
  for (int32_t c = 0; c < channels; ++c) {
    const int8_t* weight = weights + c / kVector * (taps * kVector + kConstantBytes) + c % kVector;
    int32_t sum = requant->bias[c];
    for (int32_t t = 0; t < taps; ++t, weight += kVector) {
      const int8_t* const row = rows[t / width];
      const int32_t x = first_column + t % width;
      const int inside = row && x >= 0 && x < window->in_width;
      sum = wrapping_add(sum, (inside ? row[x * channels + c] : window->pad_value) * *weight);
    }
    out[c] = finish(rescale(sum, requant->multiplier[c], requant->shift[c]), requant->zero_point,
                    requant->table);
  }
}

void kernel_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                          const Requant* requant, int8_t* out, int32_t* sums, void* scratch) {
  const int32_t channels = window->in_channels;
  const int32_t tap_count = window->kernel_height * window->kernel_width;
  const int fits = requant->simple == 2 && channels % kVector == 0 && tap_count <= kMostTaps;
  int8_t* const outside = (int8_t*)scratch + kImageBytes;
  uint32_t* const taps = (uint32_t*)(outside + round16(channels));
  if (fits) memset(outside, window->pad_value, (size_t)channels);
  int32_t first_column = -window->pad_left;
  for (int32_t x = 0; x < window->out_width; ++x, out += channels) {
    if (fits) {
      point_at_pixels(rows, window, first_column, outside, taps);
      PieDepthwise depthwise = {
          .taps = word_of(taps),
          .tap_count = tap_count,
          .weights = word_of(weights),
          .out = word_of(out),
          .table = requant->table ? word_of(requant->table + 128) : 0,
          .sums = word_of(sums),
          .groups = channels / kVector,
          .image = word_of(scratch),
      };
      kFunctions[requant->table != NULL][sums != NULL](&depthwise);
    } else {
      convolve_any(rows, window, first_column, weights, requant, out);
      if (sums) kernel_sum(out, 1, channels, sums);
    }
    first_column += window->stride;
  }
}
