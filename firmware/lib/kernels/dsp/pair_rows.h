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

enum { kGroup = 4, kPlanes = 3 };

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

static int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

// Where a pair of rows comes from and goes to. A row outside the image is four bytes of the zero
// point, read again and again: its step is 0, and so is what channels move it on by.
typedef struct {
  const int8_t* first;
  const int8_t* second;
  int32_t first_step;  // from one pixel to the next
  int32_t second_step;
  int32_t columns;  // to be written in a row, from `pairs` on; 0 where both rows are outside
  int32_t with_itself;
  int16x2_t* pairs;
} Plane;

// What every group of channels pairs alike.
typedef struct {
  const int8_t* const* rows;
  const Window* window;
  int32_t columns;   // of one pair of rows
  int32_t left;      // those before the image
  int32_t inside;    // those that lie in it
  uint32_t outside;  // four bytes of the zero point
  int16x2_t offset;  // less the zero point, twice
  int16x2_t* scratch;
  Plane planes[kPlanes];  // the first ones, worked out once
} Layout;

static Plane plane_of(const Layout* layout, int32_t plane) {
  const int32_t y = 2 * plane, height = layout->window->kernel_height;
  const int32_t step = layout->window->in_channels;
  const int8_t* const outside = (const int8_t*)&layout->outside;
  const int8_t* const row = layout->rows[y];
  int16x2_t* const pairs = layout->scratch + (plane * layout->columns + layout->left) * kGroup;
  if (y + 1 == height) {
    return (Plane){row, row + step, step, step, row ? layout->inside : 0, 1, pairs};
  }
  const int8_t* const below = layout->rows[y + 1];
  return (Plane){row ? row : outside,
                 below ? below : outside,
                 row ? step : 0,
                 below ? step : 0,
                 row || below ? layout->inside : 0,
                 0,
                 pairs};
}

// Columns outside the image are the same for every group, so they are written once.
static void lay_out(Layout* layout, const int8_t* const* rows, const Window* window,
                    int16x2_t* scratch) {
  const uint32_t minus_zero_point = (uint32_t)-window->pad_value;
  const int32_t planes = (window->kernel_height + 1) / 2;
  layout->rows = rows;
  layout->window = window;
  layout->columns = (window->out_width - 1) * window->stride + window->kernel_width;
  layout->left = smaller(window->pad_left, layout->columns);
  layout->inside = smaller(window->in_width, layout->columns - layout->left);
  layout->outside = (uint8_t)window->pad_value * 0x01010101u;
  layout->offset = (int16x2_t)low_halves(minus_zero_point, minus_zero_point);
  layout->scratch = scratch;
  for (int32_t p = 0; p < smaller(planes, kPlanes); ++p) layout->planes[p] = plane_of(layout, p);
  memset(scratch, 0, sizeof(*scratch) * kGroup * (size_t)(planes * layout->columns));
}

// Four channels of two columns at a time. Written out so that loads, arithmetic and stores overlap.
ALWAYS_INLINE void put_span(const int8_t* first, const int8_t* second, int32_t first_step,
                            int32_t second_step, int32_t columns, int16x2_t offset,
                            int16x2_t* pairs) {
  if (columns % 2) {
    pairs = put_column(load_word(first), load_word(second), offset, pairs);
    first += first_step;
    second += second_step;
    --columns;
  }
  if (!columns) return;
  __asm__ volatile(
      "1: ldr r4, [%[first]]\n"
      "ldr r5, [%[second]]\n"
      "ldr r8, [%[first], %[first_step]]\n"
      "ldr r9, [%[second], %[second_step]]\n"
      "pkhbt r10, r4, r5, lsl #16\n"
      "subs %[columns], %[columns], #2\n"
      "add %[first], %[first], %[first_step], lsl #1\n"
      "pkhtb r6, r5, r4, asr #16\n"
      "sxtab16 r5, %[offset], r10, ror #8\n"
      "sxtab16 r4, %[offset], r10\n"
      "str r4, [%[pairs]]\n"
      "sxtab16 r10, %[offset], r6, ror #8\n"
      "str r5, [%[pairs], #4]\n"
      "sxtab16 r6, %[offset], r6\n"
      "str r10, [%[pairs], #12]\n"
      "pkhbt r10, r8, r9, lsl #16\n"
      "str r6, [%[pairs], #8]\n"
      "pkhtb r6, r9, r8, asr #16\n"
      "sxtab16 r4, %[offset], r10\n"
      "sxtab16 r5, %[offset], r10, ror #8\n"
      "str r5, [%[pairs], #20]\n"
      "sxtab16 r10, %[offset], r6, ror #8\n"
      "str r10, [%[pairs], #28]\n"
      "add %[second], %[second], %[second_step], lsl #1\n"
      "str r4, [%[pairs], #16]\n"
      "sxtab16 r6, %[offset], r6\n"
      "str r6, [%[pairs], #24]\n"
      "add %[pairs], %[pairs], #32\n"
      "bne 1b"
      : [first] "+r"(first), [second] "+r"(second), [columns] "+r"(columns), [pairs] "+r"(pairs)
      : [first_step] "r"(first_step), [second_step] "r"(second_step), [offset] "r"(offset)
      : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory");
}

// The `count` channels from `channel` on of one plane, column by column.
static __attribute__((noinline)) void pair_last_channels(const Layout* layout, const Plane* plane,
                                                         int32_t channel, int32_t count) {
  const int8_t* const first = plane->first + (plane->first_step ? channel : 0);
  const int8_t* const second = plane->second + (plane->second_step ? channel : 0);
  int16x2_t* pairs = plane->pairs;
  if (plane->with_itself && layout->left > 0) {
    put_column(layout->outside, load_bytes(first, count), layout->offset, pairs - kGroup);
  }
  for (int32_t x = 0; x < plane->columns; ++x) {
    // The pixel after the last one looked at is outside, or meets a weight of 0.
    const int32_t at_end = plane->with_itself && x == plane->columns - 1;
    pairs =
        put_column(load_bytes(first + x * plane->first_step, count),
                   at_end ? layout->outside : load_bytes(second + x * plane->second_step, count),
                   layout->offset, pairs);
  }
}

ALWAYS_INLINE void pair_four_channels(const Layout* layout, const Plane* plane, int32_t channel) {
  const int8_t* const first = plane->first + (plane->first_step ? channel : 0);
  const int8_t* const second = plane->second + (plane->second_step ? channel : 0);
  int16x2_t* const pairs = plane->pairs;
  int32_t columns = plane->columns;
  if (plane->with_itself) {  // as in pair_last_channels
    if (layout->left > 0) {
      put_column(layout->outside, load_word(first), layout->offset, pairs - kGroup);
    }
    --columns;
    put_column(load_word(first + columns * plane->first_step), layout->outside, layout->offset,
               pairs + columns * kGroup);
  }
  put_span(first, second, plane->first_step, plane->second_step, columns, layout->offset, pairs);
}

// Pairs the rows of `count` channels, four or fewer, from `channel` on.
static void pair_group(const Layout* layout, int32_t channel, int32_t count) {
  const int32_t planes = (layout->window->kernel_height + 1) / 2;
  for (int32_t p = 0; p < planes; ++p) {
    const Plane later = p < kPlanes ? (Plane){0} : plane_of(layout, p);
    const Plane* const plane = p < kPlanes ? layout->planes + p : &later;
    if (plane->columns == 0) continue;
    if (count == kGroup) {
      pair_four_channels(layout, plane, channel);
    } else {
      pair_last_channels(layout, plane, channel, count);
    }
  }
}

static uint32_t present_pairs(const int8_t* const* rows, int32_t height) {
  uint32_t present = 0;
  for (int32_t y = 0; y < height; ++y) {
    if (rows[y]) present |= 1u << y / 2;
  }
  return present;
}

#endif  // FIRMWARE_LIB_KERNELS_DSP_PAIR_ROWS_H_
