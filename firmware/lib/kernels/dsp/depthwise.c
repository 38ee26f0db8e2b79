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

// What the tiles of one channel share.
typedef struct {
  const int8_t* weights;
  const Requant* requant;
  int32_t channel;
  int32_t channels;
  int32_t columns;
  int8_t* out;
  int32_t* sum;
} Channel;

// `tile` outputs of one channel from the pair at the first one's first column. size and tile are
// constants where this is inlined.
ALWAYS_INLINE void convolve_tile(const Channel* channel, const int16x2_t* pairs, int32_t height,
                                 int32_t width, int32_t stride, int32_t tile, int8_t* out) {
  const int8_t* weights = channel->weights;
  const int32_t c = channel->channel;
  const Requant* requant = channel->requant;
  int32_t sums[4];
#pragma GCC unroll 4
  for (int32_t t = 0; t < tile; ++t) sums[t] = requant->bias[c];
  uint32_t word = 0;
  int32_t entry = 0;
#pragma GCC unroll 4
  for (int32_t y = 0; y < height; y += 2, pairs += channel->columns * kGroup) {
    const int32_t step = y + 1 < height ? 1 : 2;
#pragma GCC unroll 8
    for (int32_t x = 0; x < width; x += step, ++entry) {
      if (entry % 2 == 0) word = load_word(weights + 2 * entry);
      const int16x2_t weight = entry % 2 ? odd_bytes(word) : even_bytes(word);
#pragma GCC unroll 4
      for (int32_t t = 0; t < tile; ++t) {
        sums[t] = __smlad(weight, pairs[(t * stride + x) * kGroup], sums[t]);
      }
    }
  }
  int32_t total = 0;
  if (requant->simple) {
    const SimpleRequant simple =
        simple_requant(requant->multiplier[c], requant->shift[c], 2 * requant->zero_point + 1);
#pragma GCC unroll 4
    for (int32_t t = 0; t < tile; ++t, out += channel->channels) {
      const int8_t q = requant->table[requantize_simple(sums[t], simple) + 128];
      total += q;
      *out = q;
    }
  } else {
    for (int32_t t = 0; t < tile; ++t, out += channel->channels) {
      *out = finish(rescale(sums[t], requant->multiplier[c], requant->shift[c]),
                    requant->zero_point, requant->table);
      total += *out;
    }
  }
  if (channel->sum) *channel->sum += total;
}

// The outputs of one channel, in tiles of up to four whose sizes differ little.
ALWAYS_INLINE void convolve_channel(const Channel* channel, const int16x2_t* pairs,
                                    const Window* window, int32_t height, int32_t width,
                                    int32_t stride) {
  int8_t* out = channel->out;
  int32_t left = window->out_width;
  while (left > 0) {
    const int32_t tile = left == 5 || left == 6 ? 3 : smaller(left, 4);
    if (tile == 4) {
      convolve_tile(channel, pairs, height, width, stride, 4, out);
    } else if (tile == 3) {
      convolve_tile(channel, pairs, height, width, stride, 3, out);
    } else if (tile == 2) {
      convolve_tile(channel, pairs, height, width, stride, 2, out);
    } else {
      convolve_tile(channel, pairs, height, width, stride, 1, out);
    }
    out += tile * channel->channels;
    pairs += tile * stride * kGroup;
    left -= tile;
  }
}

static __attribute__((noinline)) void convolve_3x3(const Channel* channel, const int16x2_t* pairs,
                                                   const Window* window) {
  if (window->stride == 1) {
    convolve_channel(channel, pairs, window, 3, 3, 1);
  } else {
    convolve_channel(channel, pairs, window, 3, 3, 2);
  }
}

static __attribute__((noinline)) void convolve_5x5(const Channel* channel, const int16x2_t* pairs,
                                                   const Window* window) {
  if (window->stride == 1) {
    convolve_channel(channel, pairs, window, 5, 5, 1);
  } else {
    convolve_channel(channel, pairs, window, 5, 5, 2);
  }
}

static __attribute__((noinline)) void convolve_any(const Channel* channel, const int16x2_t* pairs,
                                                   const Window* window) {
  int8_t* out = channel->out;
  for (int32_t i = 0; i < window->out_width; ++i, out += channel->channels) {
    convolve_tile(channel, pairs, window->kernel_height, window->kernel_width, window->stride, 1,
                  out);
    pairs += window->stride * kGroup;
  }
}

void kernel_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                          const Requant* shared_requant, int8_t* out, int32_t* sums,
                          void* scratch) {
  Requant requant = *shared_requant;
  if (!requant.table) requant.table = kernel_identity_table;
  const int32_t height = window->kernel_height, width = window->kernel_width;
  const int32_t columns = (window->out_width - 1) * window->stride + width;
  const int32_t entries = height / 2 * width + height % 2 * (width + 1) / 2;
  const int known = height == width && (height == 3 || height == 5) && window->stride <= 2;
  Channel channel = {
      .weights = weights, .requant = &requant, .channels = window->in_channels, .columns = columns};
  for (int32_t first = 0; first < channel.channels; first += kGroup) {
    const int32_t count = smaller(kGroup, channel.channels - first);
    int16x2_t* pairs = scratch;
    for (int32_t y = 0; y < height; y += 2, pairs += columns * kGroup) {
      const int8_t* row = rows[y] ? rows[y] + first : 0;
      if (y + 1 < height) {
        pair_rows(row, rows[y + 1] ? rows[y + 1] + first : 0, window, columns, count, pairs);
      } else {
        pair_with_itself(row, window, columns, count, pairs);
      }
    }
    for (int32_t i = 0; i < count; ++i, channel.weights += (entries + 1) / 2 * 4) {
      channel.channel = first + i;
      channel.out = out + channel.channel;
      channel.sum = sums ? sums + channel.channel : 0;
      pairs = (int16x2_t*)scratch + i;
      if (known && height == 3) {
        convolve_3x3(&channel, pairs, window);
      } else if (known) {
        convolve_5x5(&channel, pairs, window);
      } else {
        convolve_any(&channel, pairs, window);
      }
    }
  }
}
