// Depthwise convolution, four channels at a time: the input rows are paired into scratch, then the
// outputs are computed channel by channel in tiles that keep the taps of a pair of rows, and the
// sums of up to six neighbouring outputs, in registers.
#include "../kernels.h"
#include "identity.h"
#include "pair_rows.h"
#include "requantize.h"
#include "words.h"

// Up to four neighbouring channels of one output row.
typedef struct {
  const int8_t* weights;
  int32_t weight_bytes;  // of a channel
  const int32_t* bias;
  const int32_t* multiplier;
  const int8_t* shift;
  int32_t* sums;  // or NULL
  int32_t count;
  const int8_t* middle_of_table;
  int32_t odd_zero_point;  // 2 * zero_point + 1
  int32_t step;            // from one output to the next
  int32_t pair_words;      // of a pair of rows
  uint32_t present;        // bit y: the pair of rows 2y and 2y + 1 is not all outside the image
} Group;

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
  const int32_t last = (tile - 1) * stride + (taps - 1) * spacing;
  int16x2_t next = load_pair(pairs);
#pragma GCC unroll 16
  for (int32_t column = 0; column <= last; ++column) {
    const int16x2_t pair = next;
    if (column < last) next = load_pair(pairs + (column + 1) * kGroup);
#pragma GCC unroll 6
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

// What a tile remembers beside its sums and taps.
typedef struct {
  const Group* group;
  const int8_t* weights;
  const int16x2_t* pairs;
  int8_t* out;
  int32_t channel;
} Kept;

// Sums and taps fill the registers, so what is kept must wait in memory: a compiler that holds some
// of it in registers spills sums instead, in the middle of the multiplications. This makes it
// forget.
ALWAYS_INLINE void leave_in_memory(Kept* kept) { __asm__ volatile("" : "+m"(*kept)); }

// `tile` neighbouring outputs of every channel of a group, of a square window of odd size.
ALWAYS_INLINE void convolve_tile(const Group* first_group, const int16x2_t* first_pairs,
                                 int8_t* first_out, int32_t size, int32_t stride, int32_t tile) {
  Kept kept = {first_group, first_group->weights, first_pairs, first_out, 0};
  do {
    leave_in_memory(&kept);
    const int32_t bias = kept.group->bias[kept.channel];
    int32_t sums[6] = {bias, bias, bias, bias, bias, bias};
    int16x2_t taps[5];
    const int16x2_t* plane = kept.pairs;
#pragma GCC unroll 2
    for (int32_t y = 0; y < size / 2; ++y) {
      if (kept.group->present >> y & 1) {
        const int8_t* const weights = kept.weights;
#pragma GCC unroll 5
        for (int32_t x = 0; x < size; ++x) taps[x] = entry_of(weights, y * size + x);
        convolve_plane(taps, size, 1, plane, stride, tile, sums);
      }
      plane += kept.group->pair_words;
      leave_in_memory(&kept);
    }
    if (kept.group->present >> size / 2 & 1) {
      const int8_t* const weights = kept.weights;
#pragma GCC unroll 3
      for (int32_t x = 0; x <= size / 2; ++x) taps[x] = entry_of(weights, size / 2 * size + x);
      convolve_plane(taps, size / 2 + 1, 2, plane, stride, tile, sums);
    }
    leave_in_memory(&kept);
    const Group* const group = kept.group;
    const int32_t c = kept.channel;
    const SimpleRequant requant =
        simple_requant(group->multiplier[c], group->shift[c], group->odd_zero_point);
    const int8_t* const middle_of_table = group->middle_of_table;
    const int32_t step = group->step;
    int32_t total = 0;
    int8_t* place = kept.out;
    kept.out = place + 1;
    int32_t done = 0;
#pragma GCC unroll 2
    for (; done + 3 <= tile; done += 3) requantize_three(sums + done, requant);
#pragma GCC unroll 2
    for (; done < tile; ++done) sums[done] = requantize_simple(sums[done], requant);
#pragma GCC unroll 6
    for (int32_t t = 0; t < tile; ++t, place += step) {
      const int8_t q = middle_of_table[sums[t]];
      total += q;
      *place = q;
    }
    if (group->sums) group->sums[c] += total;
    kept.weights += group->weight_bytes;
    kept.pairs += 1;
    kept.channel = c + 1;
  } while (kept.channel != kept.group->count);
}

// One function for each size, stride and tile: inlined together they would share registers badly.
typedef void Tile(const Group* group, const int16x2_t* pairs, int8_t* out);
#define DEFINE_TILE(size, stride, tile)                                                   \
  static void tile_##size##_##stride##_##tile(const Group* group, const int16x2_t* pairs, \
                                              int8_t* out) {                              \
    convolve_tile(group, pairs, out, size, stride, tile);                                 \
  }
#define DEFINE_TILES(size, stride)                                            \
  DEFINE_TILE(size, stride, 1)                                                \
  DEFINE_TILE(size, stride, 2)                                                \
  DEFINE_TILE(size, stride, 3)                                                \
  DEFINE_TILE(size, stride, 4)                                                \
  DEFINE_TILE(size, stride, 6)                                                \
  static Tile* const tiles_##size##_##stride[] = {0,                          \
                                                  tile_##size##_##stride##_1, \
                                                  tile_##size##_##stride##_2, \
                                                  tile_##size##_##stride##_3, \
                                                  tile_##size##_##stride##_4, \
                                                  0,                          \
                                                  tile_##size##_##stride##_6};

DEFINE_TILES(3, 1)
DEFINE_TILES(3, 2)
DEFINE_TILES(5, 1)
DEFINE_TILES(5, 2)

// The tiles of a window by their number of outputs; NULL where each output is computed by itself.
static Tile* const* tiles_of(const Window* window, const Requant* requant) {
  const int32_t size = window->kernel_height;
  if (!requant->simple || size != window->kernel_width || window->stride > 2) return 0;
  if (size == 3) return window->stride == 1 ? tiles_3_1 : tiles_3_2;
  if (size == 5) return window->stride == 1 ? tiles_5_1 : tiles_5_2;
  return 0;
}

// The outputs in the next tile: as few tiles as there can be, none of a single output if possible.
static int32_t tile_width(int32_t left) { return left == 5 ? 3 : left == 7 ? 4 : smaller(left, 6); }

static int32_t all_shifted(const Group* group) {
  for (int32_t c = 0; c < group->count; ++c) {
    if (group->shift[c] == 0) return 0;
  }
  return 1;
}

// A group of a row of any window, output by output.
static __attribute__((noinline)) void convolve_exactly(const Window* window, const Group* group,
                                                       const Requant* requant, int32_t first,
                                                       const int16x2_t* pairs, int8_t* out) {
  for (int32_t c = 0; c < group->count; ++c) {
    const int8_t* const weights = group->weights + c * group->weight_bytes;
    for (int32_t x = 0; x < window->out_width; ++x) {
      const int16x2_t* plane = pairs + x * window->stride * kGroup + c;
      int32_t sum = group->bias[c];
      int32_t entry = 0;
      for (int32_t y = 0; y < window->kernel_height; y += 2, plane += group->pair_words) {
        const int32_t spacing = y + 1 < window->kernel_height ? 1 : 2;
        for (int32_t tap = 0; tap < window->kernel_width; tap += spacing, ++entry) {
          sum = __smlad(entry_of(weights, entry), plane[tap * kGroup], sum);
        }
      }
      const int32_t rescaled = rescale(sum, group->multiplier[c], group->shift[c]);
      const int8_t q = finish(rescaled, requant->zero_point, requant->table);
      out[x * group->step + first + c] = q;
      if (group->sums) group->sums[c] += q;
    }
  }
}

static void convolve_group(const Window* window, Tile* const* tiles, const Group* group,
                           const int16x2_t* pairs, int8_t* out) {
  for (int32_t left = window->out_width; left > 0;) {
    const int32_t tile = tile_width(left);
    tiles[tile](group, pairs, out);
    out += tile * group->step;
    pairs += tile * window->stride * kGroup;
    left -= tile;
  }
}

void kernel_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                          const Requant* requant, int8_t* out, int32_t* sums, void* scratch) {
  Layout layout;
  lay_out(&layout, rows, window, scratch);
  const int32_t height = window->kernel_height, width = window->kernel_width;
  const int32_t entries = height / 2 * width + height % 2 * ((width + 1) / 2);
  Tile* const* const tiles = tiles_of(window, requant);
  Group group = {.weights = weights,
                 .weight_bytes = (entries + 1) / 2 * 4,
                 .bias = requant->bias,
                 .multiplier = requant->multiplier,
                 .shift = requant->shift,
                 .sums = sums,
                 .middle_of_table = middle_of(requant->table),
                 .odd_zero_point = 2 * requant->zero_point + 1,
                 .step = window->in_channels,
                 .pair_words = layout.columns * kGroup,
                 .present = present_pairs(rows, height)};
  for (int32_t first = 0; first < window->in_channels; first += kGroup) {
    group.count = smaller(kGroup, window->in_channels - first);
    pair_group(&layout, first, group.count);
    if (tiles && all_shifted(&group)) {
      convolve_group(window, tiles, &group, scratch, out + first);
    } else {
      convolve_exactly(window, &group, requant, first, scratch, out);
    }
    group.weights += kGroup * group.weight_bytes;
    group.bias += kGroup;
    group.multiplier += kGroup;
    group.shift += kGroup;
    if (sums) group.sums += kGroup;
  }
}
