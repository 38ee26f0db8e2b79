// Depthwise convolution, four channels at a time: the input rows are paired into scratch, then each
// channel's row of outputs is computed in tiles that keep the taps of a pair of rows in registers.
#include "../kernels.h"
#include "identity.h"
#include "pair_rows.h"
#include "requantize.h"
#include "words.h"

// What the tiles of one channel share.
typedef struct {
  const Requant* requant;
  const int8_t* weights;
  int32_t bias;
  SimpleRequant simple;
  const int8_t* middle_of_table;
  int32_t step;  // from one output to the next
  int32_t pair_words;
  uint32_t present;  // bit y: the pair of rows 2y and 2y + 1 is not all outside the image
  int32_t index;
} Channel;

// Requantises and writes `tile` outputs; returns their sum.
ALWAYS_INLINE int32_t store(const int32_t* sums, int32_t tile, const Channel* channel,
                            int8_t* out) {
  const SimpleRequant simple = channel->simple;
  const int8_t* const middle_of_table = channel->middle_of_table;
  const int32_t step = channel->step;
  int32_t total = 0;
#pragma GCC unroll 4
  for (int32_t t = 0; t < tile; ++t, out += step) {
    const int8_t q = middle_of_table[requantize_simple(sums[t], simple)];
    total += q;
    *out = q;
  }
  return total;
}

static __attribute__((noinline)) int32_t store_exactly(int32_t sum, const Channel* channel,
                                                       int8_t* out) {
  const Requant* const requant = channel->requant;
  const int32_t rescaled =
      rescale(sum, requant->multiplier[channel->index], requant->shift[channel->index]);
  *out = finish(rescaled, requant->zero_point, requant->table);
  return *out;
}

// The compiler would load all the pairs of a plane before it uses the first, and spill them.
// Volatile keeps these two in the order they are written in.
ALWAYS_INLINE int16x2_t load_pair(const int16x2_t* pair) {
  int16x2_t loaded;
  __asm__ volatile("ldr %0, %1" : "=r"(loaded) : "m"(*pair));
  return loaded;
}

ALWAYS_INLINE int32_t multiply_add(int16x2_t a, int16x2_t b, int32_t sum) {
  __asm__ volatile("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
  return sum;
}

// Adds to `tile` outputs of one channel the taps of one plane: `taps` weights, `spacing` columns
// apart. Constants where this is inlined.
ALWAYS_INLINE void convolve_plane(const int16x2_t* weights, int32_t taps, int32_t spacing,
                                  const int16x2_t* pairs, int32_t stride, int32_t tile,
                                  int32_t* sums) {
#pragma GCC unroll 16
  for (int32_t column = 0; column <= (tile - 1) * stride + (taps - 1) * spacing; ++column) {
    const int16x2_t pair = load_pair(pairs + column * kGroup);
#pragma GCC unroll 4
    for (int32_t t = 0; t < tile; ++t) {
      const int32_t ahead = column - t * stride;
      if (ahead >= 0 && ahead % spacing == 0 && ahead / spacing < taps) {
        sums[t] = multiply_add(weights[ahead / spacing], pair, sums[t]);
      }
    }
  }
}

ALWAYS_INLINE int16x2_t entry_of(const int8_t* weights, int32_t entry) {
  const uint32_t word = load_weights(weights + entry / 2 * 4);
  return entry % 2 ? odd_bytes(word) : even_bytes(word);
}

// `tile` outputs of one channel of a square window whose size is odd; returns their sum.
ALWAYS_INLINE int32_t convolve_tile(const Channel* channel, const int16x2_t* pairs, int8_t* out,
                                    int32_t size, int32_t stride, int32_t tile) {
  const int8_t* const weights = channel->weights;
  const int32_t pair_words = channel->pair_words;
  int32_t sums[4] = {channel->bias, channel->bias, channel->bias, channel->bias};
  int16x2_t taps[5];
#pragma GCC unroll 2
  for (int32_t y = 0; y < size / 2; ++y, pairs += pair_words) {
    if (!(channel->present >> y & 1)) continue;
#pragma GCC unroll 5
    for (int32_t x = 0; x < size; ++x) taps[x] = entry_of(weights, y * size + x);
    convolve_plane(taps, size, 1, pairs, stride, tile, sums);
  }
  if (channel->present >> size / 2 & 1) {
#pragma GCC unroll 3
    for (int32_t x = 0; x <= size / 2; ++x) taps[x] = entry_of(weights, size / 2 * size + x);
    convolve_plane(taps, size / 2 + 1, 2, pairs, stride, tile, sums);
  }
  return store(sums, tile, channel, out);
}

// One function for each size, stride and tile: inlined together they would share registers badly.
typedef int32_t Tile(const Channel* channel, const int16x2_t* pairs, int8_t* out);
#define DEFINE_TILE(size, stride, tile)                                                          \
  static int32_t tile_##size##_##stride##_##tile(const Channel* channel, const int16x2_t* pairs, \
                                                 int8_t* out) {                                  \
    return convolve_tile(channel, pairs, out, size, stride, tile);                               \
  }
#define DEFINE_TILES(size, stride)                                                        \
  DEFINE_TILE(size, stride, 1)                                                            \
  DEFINE_TILE(size, stride, 2)                                                            \
  DEFINE_TILE(size, stride, 3)                                                            \
  DEFINE_TILE(size, stride, 4)                                                            \
  static Tile* const tiles_##size##_##stride[] = {                                        \
      tile_##size##_##stride##_1, tile_##size##_##stride##_2, tile_##size##_##stride##_3, \
      tile_##size##_##stride##_4};

DEFINE_TILES(3, 1)
DEFINE_TILES(3, 2)
DEFINE_TILES(5, 1)
DEFINE_TILES(5, 2)

// The tiles of a window, for one output to four; NULL where each output is computed by itself.
static Tile* const* tiles_of(const Window* window, const Requant* requant) {
  const int32_t size = window->kernel_height;
  if (!requant->simple || size != window->kernel_width || window->stride > 2) return 0;
  if (size == 3) return window->stride == 1 ? tiles_3_1 : tiles_3_2;
  if (size == 5) return window->stride == 1 ? tiles_5_1 : tiles_5_2;
  return 0;
}

// One output of one channel of any window; returns it.
static __attribute__((noinline)) int32_t convolve_one(const Window* window, const Channel* channel,
                                                      const int16x2_t* pairs, int8_t* out) {
  int32_t sum = channel->bias;
  int32_t entry = 0;
  for (int32_t y = 0; y < window->kernel_height; y += 2, pairs += channel->pair_words) {
    const int32_t spacing = y + 1 < window->kernel_height ? 1 : 2;
    const int present = channel->present >> y / 2 & 1;
    for (int32_t x = 0; x < window->kernel_width; x += spacing, ++entry) {
      if (present) sum = __smlad(entry_of(channel->weights, entry), pairs[x * kGroup], sum);
    }
  }
  return store_exactly(sum, channel, out);
}

// One channel of a row, in tiles of up to four outputs, five and six as 3 + 2 and 3 + 3. Returns
// the sum of the outputs.
static __attribute__((noinline)) int32_t convolve_channel(const Window* window, Tile* const* tiles,
                                                          const Channel* channel,
                                                          const int16x2_t* pairs, int8_t* out) {
  int32_t total = 0;
  for (int32_t left = window->out_width; left > 0;) {
    int32_t tile = 1;
    if (tiles) {
      tile = left >= 7 ? 4 : left >= 5 ? 3 : smaller(left, 4);
      total += tiles[tile - 1](channel, pairs, out);
    } else {
      total += convolve_one(window, channel, pairs, out);
    }
    out += tile * channel->step;
    pairs += tile * window->stride * kGroup;
    left -= tile;
  }
  return total;
}

void kernel_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                          const Requant* requant, int8_t* out, int32_t* sums, void* scratch) {
  const Layout layout = layout_of(window);
  const int32_t height = window->kernel_height, width = window->kernel_width;
  const int32_t entries = height / 2 * width + height % 2 * ((width + 1) / 2);
  const int32_t weight_bytes = (entries + 1) / 2 * 4;
  Tile* const* const tiles = tiles_of(window, requant);
  Channel channel = {.requant = requant,
                     .weights = weights,
                     .middle_of_table = middle_of(requant->table),
                     .step = window->in_channels,
                     .pair_words = layout.columns * kGroup,
                     .present = present_pairs(rows, height)};
  put_outside(&layout, scratch);
  for (int32_t first = 0; first < window->in_channels; first += kGroup) {
    const int32_t count = smaller(kGroup, window->in_channels - first);
    if (count == kGroup) {
      pair_whole_group(&layout, rows, first, scratch);
    } else {
      pair_last_group(&layout, rows, first, count, scratch);
    }
    for (int32_t c = first; c < first + count; ++c, channel.weights += weight_bytes) {
      channel.index = c;
      channel.bias = requant->bias[c];
      channel.simple =
          simple_requant(requant->multiplier[c], requant->shift[c], 2 * requant->zero_point + 1);
      const int16x2_t* const pairs = (const int16x2_t*)scratch + (c - first);
      Tile* const* const usable = requant->shift[c] < 0 ? tiles : 0;
      const int32_t total = convolve_channel(window, usable, &channel, pairs, out + c);
      if (sums) sums[c] += total;
    }
  }
}
