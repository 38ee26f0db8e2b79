// The input rows of a depthwise convolution, paired: for every column a word per channel holds the
// pixels of two rows as int16, so that one SMLAD takes two taps. An odd last row is paired with
// itself, one column on. The zero point is subtracted on the way, which makes what lies outside the
// image 0: a pair of rows outside it need not be written, nor looked at.
//
//   pairs  [ceil(kernel_height / 2)][columns][4 channels] words
#ifndef FIRMWARE_LIB_KERNELS_DSP_PAIR_ROWS_H_
#define FIRMWARE_LIB_KERNELS_DSP_PAIR_ROWS_H_

#include <string.h>

#include "../kernels.h"
#include "words.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { kGroup = 4 };

// Writes the four channels' pairs of one column.
ALWAYS_INLINE int16x2_t* put_column(uint32_t first, uint32_t second, int16x2_t offset,
                                    int16x2_t* pairs) {
  const uint32_t low = low_halves(first, second), high = high_halves(first, second);
  pairs[0] = add_even_bytes(offset, low);
  pairs[1] = add_odd_bytes(offset, low);
  pairs[2] = add_even_bytes(offset, high);
  pairs[3] = add_odd_bytes(offset, high);
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

ALWAYS_INLINE void put_span(Pixels at, int32_t columns, int32_t count, int16x2_t offset,
                            int16x2_t* pairs) {
  for (; columns >= 2; columns -= 2) {
    const uint32_t first = load_pixel(at.first, count), second = load_pixel(at.second, count);
    const uint32_t next_first = load_pixel(at.first + at.first_step, count);
    const uint32_t next_second = load_pixel(at.second + at.second_step, count);
    at.first += 2 * at.first_step;
    at.second += 2 * at.second_step;
    pairs = put_column(first, second, offset, pairs);
    pairs = put_column(next_first, next_second, offset, pairs);
  }
  if (columns > 0) {
    put_column(load_pixel(at.first, count), load_pixel(at.second, count), offset, pairs);
  }
}

// What every group pairs alike.
typedef struct {
  const Window* window;
  int32_t columns;   // of one pair of rows
  int32_t left;      // those before the image
  int32_t inside;    // those that lie in it
  uint32_t outside;  // four bytes of the zero point
  int16x2_t offset;  // less the zero point, twice
} Layout;

static Layout layout_of(const Window* window) {
  Layout layout = {.window = window,
                   .columns = (window->out_width - 1) * window->stride + window->kernel_width,
                   .outside = (uint8_t)window->pad_value * 0x01010101u};
  layout.offset = (int16x2_t)low_halves((uint32_t)-window->pad_value, (uint32_t)-window->pad_value);
  layout.left = smaller(window->pad_left, layout.columns);
  layout.inside = smaller(window->in_width, layout.columns - layout.left);
  return layout;
}

// Columns outside the image are the same for every group, so they are written once.
static void put_outside(const Layout* layout, int16x2_t* pairs) {
  const int32_t planes = (layout->window->kernel_height + 1) / 2;
  memset(pairs, 0, sizeof(*pairs) * kGroup * (size_t)(planes * layout->columns));
}

ALWAYS_INLINE void pair_rows(const Layout* layout, const int8_t* first, const int8_t* second,
                             int32_t count, int16x2_t* pairs) {
  const int8_t* const outside = (const int8_t*)&layout->outside;
  const int32_t step = layout->window->in_channels;
  const Pixels at = {first ? first : outside, second ? second : outside, first ? step : 0,
                     second ? step : 0};
  put_span(at, layout->inside, count, layout->offset, pairs + layout->left * kGroup);
}

// Pairs every pixel of a row with the next.
ALWAYS_INLINE void pair_with_itself(const Layout* layout, const int8_t* row, int32_t count,
                                    int16x2_t* pairs) {
  const int32_t step = layout->window->in_channels;
  pairs += layout->left * kGroup;
  if (layout->left > 0) {
    put_column(layout->outside, load_pixel(row, count), layout->offset, pairs - kGroup);
  }
  if (layout->inside == 0) return;
  const int32_t last = layout->inside - 1;
  put_span((Pixels){row, row + step, step, step}, last, count, layout->offset, pairs);
  // The pixel after the last one looked at is outside, or meets a weight of 0.
  put_column(load_pixel(row + last * step, count), layout->outside, layout->offset,
             pairs + last * kGroup);
}

static uint32_t present_pairs(const int8_t* const* rows, int32_t height) {
  uint32_t present = 0;
  for (int32_t y = 0; y < height; ++y) {
    if (rows[y]) present |= 1u << y / 2;
  }
  return present;
}

// Pairs the rows of `count` channels from `first` on.
ALWAYS_INLINE void pair_group(const Layout* layout, const int8_t* const* rows, int32_t first,
                              int32_t count, int16x2_t* pairs) {
  const int32_t height = layout->window->kernel_height;
  for (int32_t y = 0; y < height; y += 2, pairs += layout->columns * kGroup) {
    const int8_t* const row = rows[y] ? rows[y] + first : 0;
    const int8_t* const below = y + 1 < height && rows[y + 1] ? rows[y + 1] + first : 0;
    if (!row && !below) continue;
    if (y + 1 < height) {
      pair_rows(layout, row, below, count, pairs);
    } else {
      pair_with_itself(layout, row, count, pairs);
    }
  }
}

static __attribute__((noinline)) void pair_whole_group(const Layout* layout,
                                                       const int8_t* const* rows, int32_t first,
                                                       int16x2_t* pairs) {
  pair_group(layout, rows, first, kGroup, pairs);
}

static __attribute__((noinline)) void pair_last_group(const Layout* layout,
                                                      const int8_t* const* rows, int32_t first,
                                                      int32_t count, int16x2_t* pairs) {
  pair_group(layout, rows, first, count, pairs);
}

#endif  // FIRMWARE_LIB_KERNELS_DSP_PAIR_ROWS_H_
