// Depthwise convolution, eight channels at a time: the input rows are paired into scratch, then the
// outputs are computed channel by channel in tiles that keep the taps of a pair of rows, and the
// sums of up to six neighboring outputs, in registers.
#include "../kernels.h"
#include "../requantize.h"
#include "depthwise_tiles.h"
#include "identity.h"
#include "pair_rows.h"

enum { kMaxTile = 6 };

// [window 3, 5][stride 1, 2][outputs 2, 3, 6]
static TileFunction* const tile_functions[2][2][3] = {
    {{kernel_tile_3_1_2, kernel_tile_3_1_3, kernel_tile_3_1_6},
     {kernel_tile_3_2_2, kernel_tile_3_2_3, kernel_tile_3_2_6}},
    {{kernel_tile_5_1_2, kernel_tile_5_1_3, kernel_tile_5_1_6},
     {kernel_tile_5_2_2, kernel_tile_5_2_3, kernel_tile_5_2_6}},
};

// The tiles of a window; NULL where each output is computed by itself.
static TileFunction* const* tiles_of(const Window* window, const Requant* requant) {
  const int32_t size = window->kernel_height;
  if (!requant->simple || size != window->kernel_width || (size != 3 && size != 5)) return 0;
  if (window->stride > 2 || window->out_width < 2) return 0;
  return tile_functions[size / 4][window->stride - 1];
}

// Of `left` outputs, more than one. Only the last tile may be odd: the pairs of the last row begin
// at even columns.
static int32_t tile_width(int32_t left) {
  if (left >= kMaxTile && left != kMaxTile + 1) return kMaxTile;
  return left == 3 ? 3 : 2;
}

static int16x2_t entry_of(const int8_t* weights, int32_t entry) {
  const uint32_t word = load_weights(weights + entry / 2 * 4);
  return entry % 2 ? odd_bytes(word) : even_bytes(word);
}

static int16x2_t pair_of(int32_t first, int32_t second) {
  return (int16x2_t)low_halves((uint32_t)first, (uint32_t)second);
}

// A pixel of a row that may lie outside the image.
static int32_t pixel_at(const int8_t* row, const Window* window, int32_t column) {
  if (!row || (uint32_t)column >= window->in_width) return window->pad_value;
  return row[column * window->in_channels];
}

// A channel of a row of any layer, output by output.
static __attribute__((noinline)) void convolve_exactly(const int8_t* const* rows,
                                                       const Window* window, int32_t c,
                                                       const int8_t* weights,
                                                       const Requant* requant, int8_t* out,
                                                       int32_t* sums) {
  const int32_t channels = window->in_channels, height = window->kernel_height;
  int32_t begin = -window->pad_left, total = 0;
  for (int32_t i = 0; i < window->out_width; ++i, begin += window->stride) {
    const int32_t end = begin + window->kernel_width;
    int32_t sum = requant->bias[c], entry = 0;
    for (int32_t y = 0; y < height; y += 2) {
      const int8_t* const first = rows[y] ? rows[y] + c : 0;
      if (y + 1 < height) {
        const int8_t* const second = rows[y + 1] ? rows[y + 1] + c : 0;
        for (int32_t x = begin; x < end; ++x, ++entry) {
          const int16x2_t pair = pair_of(pixel_at(first, window, x), pixel_at(second, window, x));
          sum = __smlad(entry_of(weights, entry), pair, sum);
        }
      } else {
        for (int32_t x = begin; x < end; x += 2, ++entry) {
          const int16x2_t pair =
              pair_of(pixel_at(first, window, x), pixel_at(first, window, x + 1));
          sum = __smlad(entry_of(weights, entry), pair, sum);
        }
      }
    }
    const int32_t rescaled = rescale(sum, requant->multiplier[c], requant->shift[c]);
    const int8_t q = finish(rescaled, requant->zero_point, requant->table);
    out[i * channels + c] = q;
    total += q;
  }
  if (sums) sums[c] += total;
}

// The row's outputs of some of a group's channels. Pointers to pairs and outputs are moved on.
static void convolve_row(TileFunction* const* functions, Tiles* tiles, int32_t outputs,
                         int32_t stride) {
  while (outputs > 0) {
    const int32_t width = tile_width(outputs);
    tiles->tiles = width == kMaxTile ? outputs / kMaxTile - (outputs % kMaxTile == 1) : 1;
    functions[width == kMaxTile ? 2 : width - 2](tiles);
    const int32_t done = tiles->tiles * width;
    outputs -= done;
    tiles->out += done * tiles->step;
    tiles->pairs += done * stride * kGroupWords;
    tiles->last_row -= done * stride * kGroupWords * 2;
  }
}

void kernel_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                          const Requant* requant, int8_t* out, int32_t* sums, void* scratch) {
  const int32_t channels = window->in_channels, height = window->kernel_height;
  const int32_t width = window->kernel_width;
  const int32_t entries = height / 2 * width + height % 2 * ((width + 1) / 2);
  const int32_t weight_bytes = (entries + 1) / 2 * 4;
  TileFunction* const* const functions = tiles_of(window, requant);
  if (!functions) {
    for (int32_t c = 0; c < channels; ++c) {
      convolve_exactly(rows, window, c, weights + c * weight_bytes, requant, out, sums);
    }
    return;
  }
  Layout layout;
  lay_out(&layout, rows, window, scratch);
  const int32_t plane_bytes = 4 * kGroupWords * layout.columns;
  Tiles tiles = {.middle_of_table = middle_of(requant->table),
                 .odd_zero_point = 2 * requant->zero_point + 1,
                 .step = channels,
                 .plane_bytes = plane_bytes,
                 .outside = low_halves((uint32_t)window->pad_value, (uint32_t)window->pad_value)};
  if (height == 5) tiles.absent = (!rows[0] && !rows[1]) + 2u * !rows[4];
  for (int32_t first = 0; first < channels; first += kGroup) {
    const int32_t count = smaller(kGroup, channels - first);
    // It is faster to pair eight channels of which only the last ones are needed.
    const int32_t before = channels >= kGroup && count % 2 == 0 ? kGroup - count : 0;
    pair_group(&layout, first - before, count + before);
    tiles.weights = weights + first * weight_bytes;
    tiles.bias = requant->bias + first;
    tiles.multiplier = requant->multiplier + first;
    tiles.shift = requant->shift + first;
    tiles.sums = sums ? sums + first : 0;
    for (tiles.first = 0; tiles.first < count; tiles.first = tiles.end + 1) {
      tiles.end = tiles.first;
      if (requant->simple == 2) tiles.end = count;
      while (tiles.end < count && tiles.shift[tiles.end] < 0) ++tiles.end;
      if (tiles.end > tiles.first) {
        tiles.pairs = (const uint32_t*)scratch + before / 2;
        tiles.last_row = height / 2 * plane_bytes;
        tiles.out = out + first;
        convolve_row(functions, &tiles, window->out_width, window->stride);
      }
      if (tiles.end < count) {
        const int32_t c = first + tiles.end;
        convolve_exactly(rows, window, c, weights + c * weight_bytes, requant, out, sums);
      }
    }
  }
}
