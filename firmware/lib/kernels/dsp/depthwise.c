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

static int16x2_t* put_same(uint32_t first, int32_t columns, int16x2_t* pairs) {
  for (; columns > 0; --columns) pairs = put_column(first, first, pairs);
  return pairs;
}

// `count` is the number of channels that may be read, 4 but for the last group.
static int16x2_t* put_span(const int8_t* first, int32_t first_step, const int8_t* second,
                           int32_t second_step, int32_t columns, int32_t count, int16x2_t* pairs) {
  if (count < kGroup) {
    for (; columns > 0; --columns, first += first_step, second += second_step) {
      pairs = put_column(load_bytes(first, count), load_bytes(second, count), pairs);
    }
    return pairs;
  }
  for (; columns > 0; --columns, first += first_step, second += second_step) {
    pairs = put_column(load_word(first), load_word(second), pairs);
  }
  return pairs;
}

static int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

static int16x2_t* pair_rows(const int8_t* first, const int8_t* second, const Window* window,
                            int32_t columns, int32_t count, int16x2_t* pairs) {
  const uint32_t outside = (uint8_t)window->pad_value * 0x01010101u;
  const int32_t step = window->in_channels;
  const int32_t left = smaller(window->pad_left, columns);
  const int32_t inside = smaller(window->in_width, columns - left);
  pairs = put_same(outside, left, pairs);
  pairs =
      put_span(first ? first : (const int8_t*)&outside, first ? step : 0,
               second ? second : (const int8_t*)&outside, second ? step : 0, inside, count, pairs);
  return put_same(outside, columns - left - inside, pairs);
}

// Pairs every pixel of a row with the next.
static void pair_with_itself(const int8_t* row, const Window* window, int32_t columns,
                             int32_t count, int16x2_t* pairs) {
  const uint32_t outside = (uint8_t)window->pad_value * 0x01010101u;
  const int32_t step = window->in_channels;
  int32_t x = -window->pad_left;
  const int32_t end = x + columns;
  if (!row || end <= -1) {
    put_same(outside, columns, pairs);
    return;
  }
  if (x < 0) {
    pairs = put_same(outside, -1 - x, pairs);
    pairs = put_column(outside, load_bytes(row, count), pairs);
    x = 0;
  }
  const int32_t inside = smaller(window->in_width - 1, end) - x;
  if (inside > 0) {
    pairs = put_span(row + x * step, step, row + (x + 1) * step, step, inside, count, pairs);
    x += inside;
  }
  if (x == window->in_width - 1 && x < end) {
    pairs = put_column(load_bytes(row + x * step, count), outside, pairs);
    ++x;
  }
  put_same(outside, end - x, pairs);
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

// `tile` outputs of one channel. All sizes are constants where this is inlined, except in
// convolve_any.
ALWAYS_INLINE void convolve_tile(const int8_t* weights, const int16x2_t* pairs, int32_t pair_words,
                                 int32_t height, int32_t width, int32_t stride, int32_t tile,
                                 int32_t* sums) {
  uint32_t word = 0;
  int32_t entry = 0;
#pragma GCC unroll 4
  for (int32_t y = 0; y < height; y += 2, pairs += pair_words) {
    const int32_t step = y + 1 < height ? 1 : 2;
#pragma GCC unroll 8
    for (int32_t x = 0; x < width; x += step, ++entry) {
      if (entry % 2 == 0) word = load_weights(weights + 2 * entry);
      const int16x2_t weight = entry % 2 ? odd_bytes(word) : even_bytes(word);
#pragma GCC unroll 4
      for (int32_t t = 0; t < tile; ++t) {
        sums[t] = __smlad(weight, pairs[(t * stride + x) * kGroup], sums[t]);
      }
    }
  }
}

// A row in tiles of up to `widest` outputs, five and six as 3 + 2 and 3 + 3.
ALWAYS_INLINE void convolve_group(const Group* group, int32_t height, int32_t width, int32_t stride,
                                  int32_t widest) {
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
      if (widest >= 4 && tile == 4) {
        convolve_tile(weights, pairs, pair_words, height, width, stride, 4, sums);
        total += store(sums, 4, requant, c, simple, step, out);
      } else if (widest >= 3 && tile == 3) {
        convolve_tile(weights, pairs, pair_words, height, width, stride, 3, sums);
        total += store(sums, 3, requant, c, simple, step, out);
      } else if (widest >= 2 && tile == 2) {
        convolve_tile(weights, pairs, pair_words, height, width, stride, 2, sums);
        total += store(sums, 2, requant, c, simple, step, out);
      } else {
        tile = 1;
        convolve_tile(weights, pairs, pair_words, height, width, stride, 1, sums);
        total += store(sums, 1, requant, c, simple, step, out);
      }
      out += tile * step;
      pairs += tile * stride * kGroup;
      left -= tile;
    }
    if (group->sums) group->sums[c] += total;
  }
}

static void convolve_3x3(const Group* group) { convolve_group(group, 3, 3, 1, 4); }
static void convolve_3x3_stride_2(const Group* group) { convolve_group(group, 3, 3, 2, 4); }
static void convolve_5x5(const Group* group) { convolve_group(group, 5, 5, 1, 4); }
static void convolve_5x5_stride_2(const Group* group) { convolve_group(group, 5, 5, 2, 4); }
static void convolve_any(const Group* group) {
  const Window* const w = group->window;
  convolve_group(group, w->kernel_height, w->kernel_width, w->stride, 1);
}

static void (*choose(const Window* window))(const Group*) {
  const int32_t size = window->kernel_height;
  const int known = size == window->kernel_width && (size == 3 || size == 5);
  if (known && window->stride == 1) return size == 3 ? convolve_3x3 : convolve_5x5;
  if (known && window->stride == 2)
    return size == 3 ? convolve_3x3_stride_2 : convolve_5x5_stride_2;
  return convolve_any;
}

void kernel_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                          const Requant* shared_requant, int8_t* out, int32_t* sums,
                          void* scratch) {
  Requant requant = *shared_requant;
  if (!requant.table) requant.table = kernel_identity_table;
  const int32_t height = window->kernel_height, width = window->kernel_width;
  const int32_t columns = (window->out_width - 1) * window->stride + width;
  const int32_t entries = height / 2 * width + height % 2 * ((width + 1) / 2);
  void (*const convolve)(const Group*) = choose(window);
  Group group = {.window = window,
                 .requant = &requant,
                 .pairs = scratch,
                 .weights = weights,
                 .weight_bytes = (entries + 1) / 2 * 4,
                 .pair_words = columns * kGroup,
                 .out = out,
                 .sums = sums};
  for (; group.first < window->in_channels; group.first += kGroup) {
    group.count = smaller(kGroup, window->in_channels - group.first);
    int16x2_t* pairs = scratch;
    for (int32_t y = 0; y < height; y += 2, pairs += group.pair_words) {
      const int8_t* row = rows[y] ? rows[y] + group.first : 0;
      if (y + 1 < height) {
        const int8_t* below = rows[y + 1] ? rows[y + 1] + group.first : 0;
        pair_rows(row, below, window, columns, group.count, pairs);
      } else {
        pair_with_itself(row, window, columns, group.count, pairs);
      }
    }
    convolve(&group);
    group.weights += kGroup * group.weight_bytes;
  }
}
