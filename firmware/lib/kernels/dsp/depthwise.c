// Depthwise convolution, four channels at a time. The input rows are first paired into scratch: for
// every column a word per channel holds the pixels of two rows as int16, so that one SMLAD takes
// two taps. An odd last row is paired with itself, one column on.
//
//   scratch  [ceil(kernel_height / 2)][columns][4 channels] words
//   weights  [channels][words] of two taps pairs each: kernels.h describes their order
#include "../kernels.h"
#include "identity.h"
#include "requantize.h"
#include "words.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { kGroup = 4 };

// Writes the four channels' pairs of one column.
ALWAYS_INLINE int16x2_t* put_column(uint32_t first, uint32_t second, int16x2_t* pairs) {
  const uint32_t low = low_halves(first, second), high = high_halves(first, second);
  pairs[0] = even_bytes(low);
  pairs[1] = odd_bytes(low);
  pairs[2] = even_bytes(high);
  pairs[3] = odd_bytes(high);
  return pairs + kGroup;
}

// The `count` channels that there are of a group at one pixel.
ALWAYS_INLINE uint32_t load_pixel(const int8_t* pixel, int32_t count) {
  return count == kGroup ? load_word(pixel) : load_bytes(pixel, count);
}

static int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

// Two pixels and the steps to their right neighbours' (0 for a row outside the image).
typedef struct {
  const int8_t* first;
  const int8_t* second;
  int32_t first_step;
  int32_t second_step;
} Pixels;

ALWAYS_INLINE void put_span(Pixels at, int32_t columns, int32_t count, int16x2_t* pairs) {
  for (; columns >= 2; columns -= 2) {
    const uint32_t first = load_pixel(at.first, count), second = load_pixel(at.second, count);
    const uint32_t next_first = load_pixel(at.first + at.first_step, count);
    const uint32_t next_second = load_pixel(at.second + at.second_step, count);
    at.first += 2 * at.first_step;
    at.second += 2 * at.second_step;
    pairs = put_column(first, second, pairs);
    pairs = put_column(next_first, next_second, pairs);
  }
  if (columns > 0) put_column(load_pixel(at.first, count), load_pixel(at.second, count), pairs);
}

// What every group pairs alike.
typedef struct {
  const Window* window;
  int32_t columns;  // of one pair of rows
  int32_t left;     // those before the image
  int32_t inside;   // those that lie in it
  uint32_t outside;
} Layout;

static Layout layout_of(const Window* window) {
  Layout layout = {.window = window,
                   .columns = (window->out_width - 1) * window->stride + window->kernel_width,
                   .outside = (uint8_t)window->pad_value * 0x01010101u};
  layout.left = smaller(window->pad_left, layout.columns);
  layout.inside = smaller(window->in_width, layout.columns - layout.left);
  return layout;
}

// Columns outside the image are the same for every group, so they are written once.
static void put_outside(const Layout* layout, int16x2_t* pairs) {
  const int32_t planes = (layout->window->kernel_height + 1) / 2;
  for (int32_t i = 0; i < planes * layout->columns; ++i) {
    pairs = put_column(layout->outside, layout->outside, pairs);
  }
}

ALWAYS_INLINE void pair_rows(const Layout* layout, const int8_t* first, const int8_t* second,
                             int32_t count, int16x2_t* pairs) {
  const int8_t* const outside = (const int8_t*)&layout->outside;
  const int32_t step = layout->window->in_channels;
  const Pixels at = {first ? first : outside, second ? second : outside, first ? step : 0,
                     second ? step : 0};
  put_span(at, layout->inside, count, pairs + layout->left * kGroup);
}

// Pairs every pixel of a row with the next.
ALWAYS_INLINE void pair_with_itself(const Layout* layout, const int8_t* row, int32_t count,
                                    int16x2_t* pairs) {
  const int32_t step = layout->window->in_channels;
  if (!row) {
    // Another group shares these columns, but not other rows: they are still as put_outside left
    // them.
    return;
  }
  pairs += layout->left * kGroup;
  if (layout->left > 0) put_column(layout->outside, load_pixel(row, count), pairs - kGroup);
  if (layout->inside == 0) return;
  const int32_t last = layout->inside - 1;
  put_span((Pixels){row, row + step, step, step}, last, count, pairs);
  // The pixel after the last one looked at is outside, or meets a weight of 0.
  put_column(load_pixel(row + last * step, count), layout->outside, pairs + last * kGroup);
}

// Up to four channels of one output row, their pairs lying in scratch.
typedef struct {
  const Window* window;
  const Requant* requant;  // its table is never NULL here
  const int16x2_t* pairs;
  const int8_t* weights;
  int32_t weight_bytes;  // of one channel
  int32_t pair_words;    // of one pair of rows
  int32_t first;         // channel
  int32_t count;
  int8_t* out;
  int32_t* sums;
} Group;

// Requantises, writes and adds up `tile` outputs of channel c.
ALWAYS_INLINE int32_t store(const int32_t* sums, int32_t tile, const Requant* requant, int32_t c,
                            SimpleRequant simple, int32_t step, int8_t* out) {
  int32_t total = 0;
  if (requant->simple) {
    const int8_t* const table = requant->table;
#pragma GCC unroll 4
    for (int32_t t = 0; t < tile; ++t, out += step) {
      const int8_t q = table[requantize_simple(sums[t], simple) + 128];
      total += q;
      *out = q;
    }
    return total;
  }
  for (int32_t t = 0; t < tile; ++t, out += step) {
    *out = finish(rescale(sums[t], requant->multiplier[c], requant->shift[c]), requant->zero_point,
                  requant->table);
    total += *out;
  }
  return total;
}

// Adds to `tile` outputs of one channel the taps of one plane: `taps` weights, `spacing` columns
// apart. Constants where this is inlined.
ALWAYS_INLINE void convolve_plane(const int16x2_t* weights, int32_t taps, int32_t spacing,
                                  const int16x2_t* pairs, int32_t stride, int32_t tile,
                                  int32_t* sums) {
#pragma GCC unroll 16
  for (int32_t column = 0; column <= (tile - 1) * stride + (taps - 1) * spacing; ++column) {
    const int16x2_t pair = pairs[column * kGroup];
#pragma GCC unroll 4
    for (int32_t t = 0; t < tile; ++t) {
      const int32_t ahead = column - t * stride;
      if (ahead >= 0 && ahead % spacing == 0 && ahead / spacing < taps) {
        sums[t] = __smlad(weights[ahead / spacing], pair, sums[t]);
      }
    }
  }
}

ALWAYS_INLINE int16x2_t entry_of(const int8_t* weights, int32_t entry) {
  const uint32_t word = load_weights(weights + entry / 2 * 4);
  return entry % 2 ? odd_bytes(word) : even_bytes(word);
}

// `tile` outputs of one channel of a square window whose size is odd.
ALWAYS_INLINE void convolve_tile(const int8_t* weights, const int16x2_t* pairs, int32_t pair_words,
                                 int32_t size, int32_t stride, int32_t tile, int32_t* sums) {
  int16x2_t taps[5];
#pragma GCC unroll 2
  for (int32_t y = 0; y < size / 2; ++y, pairs += pair_words) {
#pragma GCC unroll 5
    for (int32_t x = 0; x < size; ++x) taps[x] = entry_of(weights, y * size + x);
    convolve_plane(taps, size, 1, pairs, stride, tile, sums);
  }
#pragma GCC unroll 3
  for (int32_t x = 0; x <= size / 2; ++x) taps[x] = entry_of(weights, size / 2 * size + x);
  convolve_plane(taps, size / 2 + 1, 2, pairs, stride, tile, sums);
}

// One output of one channel of any window.
static int32_t convolve_one(const Window* window, const int8_t* weights, const int16x2_t* pairs,
                            int32_t pair_words, int32_t sum) {
  int32_t entry = 0;
  for (int32_t y = 0; y < window->kernel_height; y += 2, pairs += pair_words) {
    const int32_t spacing = y + 1 < window->kernel_height ? 1 : 2;
    for (int32_t x = 0; x < window->kernel_width; x += spacing, ++entry) {
      sum = __smlad(entry_of(weights, entry), pairs[x * kGroup], sum);
    }
  }
  return sum;
}

// The rows of a group's channels in tiles of up to four outputs; five and six as 3 + 2 and 3 + 3.
// A size of 0 stands for any window, one output at a time.
ALWAYS_INLINE void convolve_group(const Group* group, int32_t size, int32_t stride) {
  const Requant* const requant = group->requant;
  const int32_t step = group->window->in_channels, pair_words = group->pair_words;
  const int8_t* weights = group->weights;
  for (int32_t i = 0; i < group->count; ++i, weights += group->weight_bytes) {
    const int32_t c = group->first + i;
    const int32_t bias = requant->bias[c];
    const SimpleRequant simple =
        simple_requant(requant->multiplier[c], requant->shift[c], 2 * requant->zero_point + 1);
    const int16x2_t* pairs = group->pairs + i;
    int8_t* out = group->out + c;
    int32_t total = 0;
    for (int32_t left = group->window->out_width; left > 0;) {
      int32_t sums[4] = {bias, bias, bias, bias};
      int32_t tile = left == 5 || left == 6 ? 3 : smaller(left, 4);
      if (size == 0) {
        tile = 1;
        sums[0] = convolve_one(group->window, weights, pairs, pair_words, bias);
        total += store(sums, 1, requant, c, simple, step, out);
      } else if (tile == 4) {
        convolve_tile(weights, pairs, pair_words, size, stride, 4, sums);
        total += store(sums, 4, requant, c, simple, step, out);
      } else if (tile == 3) {
        convolve_tile(weights, pairs, pair_words, size, stride, 3, sums);
        total += store(sums, 3, requant, c, simple, step, out);
      } else if (tile == 2) {
        convolve_tile(weights, pairs, pair_words, size, stride, 2, sums);
        total += store(sums, 2, requant, c, simple, step, out);
      } else {
        convolve_tile(weights, pairs, pair_words, size, stride, 1, sums);
        total += store(sums, 1, requant, c, simple, step, out);
      }
      out += tile * step;
      pairs += tile * stride * kGroup;
      left -= tile;
    }
    if (group->sums) group->sums[c] += total;
  }
}

static void convolve_3x3(const Group* group) { convolve_group(group, 3, 1); }
static void convolve_3x3_stride_2(const Group* group) { convolve_group(group, 3, 2); }
static void convolve_5x5(const Group* group) { convolve_group(group, 5, 1); }
static void convolve_5x5_stride_2(const Group* group) { convolve_group(group, 5, 2); }
static void convolve_any(const Group* group) { convolve_group(group, 0, group->window->stride); }

static void (*choose(const Window* window))(const Group*) {
  const int32_t size = window->kernel_height;
  const int known = size == window->kernel_width && (size == 3 || size == 5);
  if (known && window->stride == 1) return size == 3 ? convolve_3x3 : convolve_5x5;
  if (known && window->stride == 2)
    return size == 3 ? convolve_3x3_stride_2 : convolve_5x5_stride_2;
  return convolve_any;
}

// Pairs the rows of `count` channels from `first` on.
ALWAYS_INLINE void pair_group(const Layout* layout, const int8_t* const* rows, int32_t first,
                              int32_t count, int16x2_t* pairs) {
  const int32_t height = layout->window->kernel_height;
  for (int32_t y = 0; y < height; y += 2, pairs += layout->columns * kGroup) {
    const int8_t* row = rows[y] ? rows[y] + first : 0;
    if (y + 1 < height) {
      pair_rows(layout, row, rows[y + 1] ? rows[y + 1] + first : 0, count, pairs);
    } else {
      pair_with_itself(layout, row, count, pairs);
    }
  }
}

void kernel_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                          const Requant* shared_requant, int8_t* out, int32_t* sums,
                          void* scratch) {
  Requant requant = *shared_requant;
  if (!requant.table) requant.table = kernel_identity_table;
  const Layout layout = layout_of(window);
  const int32_t height = window->kernel_height, width = window->kernel_width;
  const int32_t entries = height / 2 * width + height % 2 * ((width + 1) / 2);
  void (*const convolve)(const Group*) = choose(window);
  Group group = {.window = window,
                 .requant = &requant,
                 .pairs = scratch,
                 .weights = weights,
                 .weight_bytes = (entries + 1) / 2 * 4,
                 .pair_words = layout.columns * kGroup,
                 .out = out,
                 .sums = sums};
  put_outside(&layout, scratch);
  for (; group.first < window->in_channels; group.first += kGroup) {
    group.count = smaller(kGroup, window->in_channels - group.first);
    if (group.count == kGroup) {
      pair_group(&layout, rows, group.first, kGroup, scratch);
    } else {
      pair_group(&layout, rows, group.first, group.count, scratch);
    }
    convolve(&group);
    group.weights += kGroup * group.weight_bytes;
  }
}
