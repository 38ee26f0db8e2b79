// Depthwise convolution, by groups of sixteen channels. The compiler has decided how a group is
// rounded: in lanes (lanes.S, a row at a time), as words (depthwise.S, a pixel at a time, for which
// the addresses of the pixels under a window are gathered here), or in C.
#include <string.h>

#include "../kernels.h"
#include "../requantize.h"
#include "pie.h"

enum { kStripPixels = 16 };

typedef void DepthwiseFunction(PieDepthwise* depthwise);
static DepthwiseFunction* const kFunctions[2][2] = {
    {pie_depthwise, pie_depthwise_sums}, {pie_depthwise_table, pie_depthwise_table_sums}};

typedef void LanesFunction(PieLanes* lanes);
#define NAME(name) name,
static LanesFunction* const kLanesFunctions[2][6] = {{PIE_LANES_VARIANTS(NAME, lanes_3x3)},
                                                     {PIE_LANES_VARIANTS(NAME, lanes_5x5)}};

// Everything that a row needs.
typedef struct {
  const int8_t* const* rows;
  const Window* window;
  const int8_t* weights;
  const Requant* requant;
  int32_t tap_count;
  int32_t group_bytes;  // of the packed weights
  int8_t* out;
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
    const int8_t* weight =
        row->weights + c / kVector * row->group_bytes + kHeaderBytes + c % kVector;
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

static void convolve_in_c(const Row* row, int32_t first, int32_t end) {
  const int32_t channels = row->window->in_channels;
  const int32_t last = end * kVector < channels ? end * kVector : channels;
  int32_t first_column = -row->window->pad_left;
  for (int32_t x = 0; x < row->window->out_width; ++x) {
    convolve_any(row, first_column, first * kVector, last, row->out + x * channels);
    first_column += row->window->stride;
  }
}

static void point_at_pixels(const Row* row, int32_t first_column, const int8_t* outside,
                            uint32_t* taps) {
  const Window* const window = row->window;
  for (int32_t y = 0; y < window->kernel_height; ++y) {
    const int8_t* const pixels = row->rows[y];
    for (int32_t x = first_column; x < first_column + window->kernel_width; ++x) {
      const int inside = pixels && x >= 0 && x < window->in_width;
      *taps++ = word_of(inside ? pixels + x * window->in_channels : outside);
    }
  }
}

static void convolve_words(const Row* row, int32_t first, int32_t end) {
  const int32_t channels = row->window->in_channels;
  const int8_t* const table = row->requant->table;
  int8_t* const outside = row->scratch + 64;
  uint32_t* const taps = (uint32_t*)(outside + round16(channels));
  memset(outside, row->window->pad_value, (size_t)channels);
  int32_t first_column = -row->window->pad_left;
  for (int32_t x = 0; x < row->window->out_width; ++x) {
    point_at_pixels(row, first_column, outside, taps);
    PieDepthwise depthwise = {
        .taps = word_of(taps),
        .tap_count = row->tap_count,
        .weights = word_of(row->weights + first * row->group_bytes),
        .out = word_of(row->out + x * channels + first * kVector),
        .table = table ? word_of(table + 128) : 0,
        .sums = row->sums ? word_of(row->sums + first * kVector) : 0,
        .groups = end - first,
        .image = word_of(row->scratch),
        .offset = first * kVector,
    };
    kFunctions[table != NULL][row->sums != NULL](&depthwise);
    first_column += row->window->stride;
  }
}

static int32_t at_most(int32_t a, int32_t b) { return a < b ? a : b; }

static void convolve_lanes(const Row* row, int32_t kind, int32_t first, int32_t end) {
  const Window* const window = row->window;
  const int32_t width = window->kernel_width, channels = window->in_channels;
  LanesFunction* const convolve = kLanesFunctions[width == 5][kind - kLanes];
  uint32_t* const rows = (uint32_t*)(row->scratch + 48);  // behind the lanes' image
  int8_t* const pad = row->scratch + 68;
  *pad = window->pad_value;
  for (int32_t x = 0; x < window->out_width; x += kStripPixels) {
    const int32_t pixels = at_most(window->out_width - x, kStripPixels);
    const int32_t columns = (pixels - 1) * window->stride + width;
    const int32_t first_column = x * window->stride - window->pad_left;
    const int32_t begin = first_column > 0 ? first_column : 0;
    const int32_t left = at_most(begin - first_column, columns);
    const int32_t there = at_most(window->in_width - begin, columns - left);
    const int32_t inside = there > 0 ? there : 0;
    for (int32_t y = 0; y < window->kernel_height; ++y) {
      rows[y] = row->rows[y] ? word_of(row->rows[y] + begin * channels) : 0;
    }
    PieLanes lanes = {
        .rows = word_of(rows),
        .image = word_of(row->scratch),
        .strip = word_of(row->scratch + 80),
        .weights = word_of(row->weights + first * row->group_bytes),
        .out = word_of(row->out + x * channels),
        .groups = end - first,
        .offset = first * kVector,
        .height = window->kernel_height,
        .left = left,
        .inside = inside,
        .right = columns - left - inside,
        .in_step = channels,
        .row_step = (columns - width + 1) * kVector,
        .next_step = (window->stride - (window->kernel_height - 1) * columns - width + 1) * kVector,
        .out_step = channels,
        .pixels = pixels,
        .table = row->requant->table ? word_of(row->requant->table) : 0,
        .sums = row->sums ? word_of(row->sums) : 0,
        .pad = word_of(pad),
        .group_step = row->group_bytes - 48,
    };
    convolve(&lanes);
  }
}

void kernel_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                          const Requant* requant, int8_t* out, int32_t* sums, void* scratch) {
  const int32_t tap_count = window->kernel_height * window->kernel_width;
  const int32_t group_bytes = kHeaderBytes + tap_count * kVector + kConstantBytes;
  const Row row = {rows, window, weights, requant, tap_count, group_bytes, out, sums, scratch};
  const int32_t groups = round16(window->in_channels) / kVector;
  for (int32_t first = 0, end; first < groups; first = end) {
    const int8_t* const header = weights + first * group_bytes;
    const int32_t kind = *header;
    for (end = first + 1; end < groups && header[(end - first) * group_bytes] == kind;) ++end;
    if (kind >= kLanes) {
      convolve_lanes(&row, kind, first, end);
    } else if (kind == kWords) {
      convolve_words(&row, first, end);
    } else {
      convolve_in_c(&row, first, end);
    }
  }
}
