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

// One row's work, and where of it a pixel begins.
typedef struct {
  const int8_t* const* rows;
  const Window* window;
  const int8_t* weights;
  const Requant* requant;
  int32_t tap_count;
  int32_t group_bytes;  // of the packed weights
  int32_t* sums;
  int8_t* scratch;
} Row;

// Channels of one pixel in C: any shift, any sum, any number of taps and channels.
static void convolve_any(const Row* row, int32_t first_column, int32_t first, int32_t end,
                         int8_t* out) {
  const Window* const window = row->window;
  const Requant* const requant = row->requant;
  const int32_t width = window->kernel_width;
  for (int32_t c = first; c < end; ++c) {
    const int8_t* weight = row->weights + c / kVector * row->group_bytes + c % kVector;
    int32_t sum = requant->bias[c];
    for (int32_t t = 0; t < row->tap_count; ++t, weight += kVector) {
      const int8_t* const pixels = row->rows[t / width];
      const int32_t x = first_column + t % width;
      const int inside = pixels && x >= 0 && x < window->in_width;
      const int32_t input = inside ? pixels[x * window->in_channels + c] : window->pad_value;
      sum = wrapping_add(sum, input * *weight);
    }
    out[c] = finish(rescale(sum, requant->multiplier[c], requant->shift[c]), requant->zero_point,
                    requant->table);
    if (row->sums) row->sums[c] += out[c];
  }
}

// The same by the assembly, for whole groups.
static void convolve_groups(const Row* row, const uint32_t* taps, int32_t first, int32_t end,
                            int8_t* out) {
  const int8_t* const table = row->requant->table;
  PieDepthwise depthwise = {
      .taps = word_of(taps),
      .tap_count = row->tap_count,
      .weights = word_of(row->weights + first * row->group_bytes),
      .out = word_of(out + first * kVector),
      .table = table ? word_of(table + 128) : 0,
      .sums = row->sums ? word_of(row->sums + first * kVector) : 0,
      .groups = end - first,
      .image = word_of(row->scratch),
      .offset = first * kVector,
  };
  kFunctions[table != NULL][row->sums != NULL](&depthwise);
}

// Whether no channel of a group has a shift of 0, which the assembly cannot round.
static int all_shifted(const Requant* requant, int32_t group) {
  int shifted = 1;
  for (int32_t c = 0; c < kVector; ++c) shifted &= requant->shift[group * kVector + c] < 0;
  return shifted;
}

static void convolve_pixel(const Row* row, const uint32_t* taps, int32_t first_column,
                           int8_t* out) {
  const int32_t groups = row->window->in_channels / kVector;
  if (row->requant->simple == 2) {
    convolve_groups(row, taps, 0, groups, out);
    return;
  }
  for (int32_t first = 0; first < groups;) {
    int32_t end = first;
    while (end < groups && all_shifted(row->requant, end)) ++end;
    if (end > first) convolve_groups(row, taps, first, end, out);
    if (end < groups) {
      convolve_any(row, first_column, end * kVector, (end + 1) * kVector, out);
    }
    first = end + 1;
  }
}

void kernel_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                          const Requant* requant, int8_t* out, int32_t* sums, void* scratch) {
  const int32_t channels = window->in_channels;
  const int32_t tap_count = window->kernel_height * window->kernel_width;
  const int32_t group_bytes = tap_count * kVector + kConstantBytes;
  const Row row = {rows, window, weights, requant, tap_count, group_bytes, sums, scratch};
  const int fits = requant->simple && channels % kVector == 0 && tap_count <= kMostTaps;
  int8_t* const outside = row.scratch + kImageBytes;
  uint32_t* const taps = (uint32_t*)(outside + round16(channels));
  if (fits) memset(outside, window->pad_value, (size_t)channels);
  int32_t first_column = -window->pad_left;
  for (int32_t x = 0; x < window->out_width; ++x, out += channels) {
    if (fits) {
      point_at_pixels(rows, window, first_column, outside, taps);
      convolve_pixel(&row, taps, first_column, out);
    } else {
      convolve_any(&row, first_column, 0, channels, out);
    }
    first_column += window->stride;
  }
}
