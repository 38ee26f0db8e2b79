// The input rows of a depthwise convolution, paired: a word holds the pixels of two rows, of two
// channels, so that one SXTB16 widens the two values that an SMLAD takes for two taps. An odd last
// row is paired with itself, an even column with the next one. What lies outside the image is the
// zero point.
//
//   pairs  [kernel_height / 2][columns][4] words of eight channels, then
//          [ceil(columns / 2)][4] of the last row
#ifndef FIRMWARE_LIB_KERNELS_DSP_PAIR_ROWS_H_
#define FIRMWARE_LIB_KERNELS_DSP_PAIR_ROWS_H_

#include "../kernels.h"
#include "words.h"

enum { kGroup = 8, kGroupWords = kGroup / 2, kMaxSpans = 5 };

static inline int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

// Pixels that are paired, and where to. Pixels outside the image are the same eight bytes of the
// zero point: their step is 0, from pixel to pixel and from channel to channel.
typedef struct {
  const int8_t* first;
  const int8_t* second;
  int32_t first_step;  // from one pixel to the next
  int32_t second_step;
  int32_t count;
  uint32_t* pairs;
} Span;

// The pairing that all groups of channels share, for windows of 3 or 5 rows.
typedef struct {
  uint32_t outside[2];
  int32_t columns;
  Span spans[kMaxSpans];
  int32_t span_count;
} Layout;

static void add_span(Layout* layout, const int8_t* first, const int8_t* second, int32_t step,
                     int32_t count, uint32_t* pairs) {
  const int8_t* const outside = (const int8_t*)layout->outside;
  if (count <= 0 || (!first && !second)) return;
  Span* const span = layout->spans + layout->span_count++;
  span->first = first ? first : outside;
  span->second = second ? second : outside;
  span->first_step = first ? step : 0;
  span->second_step = second ? step : 0;
  span->count = count;
  span->pairs = pairs;
}

static void lay_out(Layout* layout, const int8_t* const* rows, const Window* window,
                    uint32_t* pairs) {
  const int32_t height = window->kernel_height, step = window->in_channels;
  const int32_t columns = (window->out_width - 1) * window->stride + window->kernel_width;
  const int32_t left = smaller(window->pad_left, columns);
  const int32_t inside = smaller(window->in_width, columns - left), right = left + inside;
  const uint32_t outside = (uint8_t)window->pad_value * 0x01010101u;
  uint32_t* const last_row = pairs + height / 2 * columns * kGroupWords;
  uint32_t* const end = last_row + (columns + 1) / 2 * kGroupWords;
  layout->outside[0] = layout->outside[1] = outside;
  layout->columns = columns;
  layout->span_count = 0;
  for (uint32_t* p = pairs; p < end; p += kGroupWords) p[0] = p[1] = p[2] = p[3] = outside;
  for (int32_t y = 0; y < height - 1; y += 2) {
    add_span(layout, rows[y], rows[y + 1], step, inside,
             pairs + (y / 2 * columns + left) * kGroupWords);
  }
  const int8_t* const row = rows[height - 1];
  if (!row || inside <= 0) return;
  const int32_t odd = left % 2, even_pairs = (inside - odd) / 2;
  uint32_t* const first_pair = last_row + left / 2 * kGroupWords;
  if (odd) add_span(layout, 0, row, step, 1, first_pair);
  add_span(layout, row + odd * step, row + (odd + 1) * step, 2 * step, even_pairs,
           first_pair + odd * kGroupWords);
  if (right % 2)
    add_span(layout, row + (inside - 1) * step, 0, step, 1, last_row + right / 2 * kGroupWords);
}

// Eight channels of each pixel, at least one pixel. In assembly, so that loads, packing and stores
// overlap.
static inline void pair_span(const Span* span, int32_t channel) {
  const int8_t* first = span->first + (span->first_step ? channel : 0);
  const int8_t* second = span->second + (span->second_step ? channel : 0);
  uint32_t* pairs = span->pairs;
  int32_t left = span->count;
  __asm__ volatile(
      "1: ldr r8, [%[second], #4]\n"
      "ldr r5, [%[second]]\n"
      "ldr r6, [%[first], #4]\n"
      "ldr r4, [%[first]]\n"
      "add %[first], %[first], %[first_step]\n"
      "subs %[left], %[left], #1\n"
      "add %[second], %[second], %[second_step]\n"
      "pkhbt r9, r4, r5, lsl #16\n"
      "str r9, [%[pairs]]\n"
      "pkhtb r5, r5, r4, asr #16\n"
      "str r5, [%[pairs], #4]\n"
      "pkhbt r9, r6, r8, lsl #16\n"
      "str r9, [%[pairs], #8]\n"
      "pkhtb r8, r8, r6, asr #16\n"
      "str r8, [%[pairs], #12]\n"
      "add %[pairs], %[pairs], #16\n"
      "bne 1b"
      : [first] "+r"(first), [second] "+r"(second), [left] "+r"(left), [pairs] "+r"(pairs)
      : [first_step] "r"(span->first_step), [second_step] "r"(span->second_step)
      : "r4", "r5", "r6", "r8", "r9", "cc", "memory");
}

// `count` channels, fewer than eight.
static __attribute__((noinline)) void pair_few(const Span* span, int32_t channel, int32_t count) {
  const int8_t* first = span->first + (span->first_step ? channel : 0);
  const int8_t* second = span->second + (span->second_step ? channel : 0);
  int8_t* pairs = (int8_t*)span->pairs;
  for (int32_t i = span->count; i > 0; --i) {
    for (int32_t c = 0; c < count; ++c) {
      pairs[c / 2 * 4 + c % 2] = first[c];
      pairs[c / 2 * 4 + c % 2 + 2] = second[c];
    }
    first += span->first_step;
    second += span->second_step;
    pairs += 4 * kGroupWords;
  }
}

// Pairs `count` channels from `channel` on.
static void pair_group(const Layout* layout, int32_t channel, int32_t count) {
  for (int32_t s = 0; s < layout->span_count; ++s) {
    if (count == kGroup) {
      pair_span(layout->spans + s, channel);
    } else {
      pair_few(layout->spans + s, channel, count);
    }
  }
}

#endif  // FIRMWARE_LIB_KERNELS_DSP_PAIR_ROWS_H_
