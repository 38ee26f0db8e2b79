// Depthwise convolution, sixteen channels at a time. The products of two taps fit 16 bits together
// (2 * 128 * 127 < 2^15), so taps are added in pairs before they are widened to 32 bits. Widening
// takes even or odd lanes, twice: the four sums hold every fourth channel.
#include <string.h>

#include "../kernels.h"
#include "requantize.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { kGroup = 16 };

// The pixels under a window, `outside` for those that are not in the image.
static void point_at_pixels(const int8_t* const* rows, const Window* window, int32_t first_column,
                            const int8_t* outside, const int8_t** taps) {
  const int32_t channels = window->in_channels;
  const int32_t width = window->kernel_width;
  const uint32_t in_width = window->in_width;
  for (int32_t y = 0; y < window->kernel_height; ++y) {
    const int8_t* pixel = rows[y] + first_column * channels;
    for (int32_t x = first_column; x < first_column + width; ++x, pixel += channels) {
      *taps++ = rows[y] && (uint32_t)x < in_width ? pixel : outside;
    }
  }
}

// Every fourth channel from `first` on: requantised, written and added up.
ALWAYS_INLINE void store_lanes(int32x4_t x, int32_t first, mve_pred16_t lanes,
                               const Requant* requant, const Finish* finish, int8_t* out,
                               int32_t* sums) {
  const uint32x4_t fours = vidupq_n_u32(0, 4);
  x = vaddq_s32(x, vldrwq_gather_shifted_offset_z_s32(requant->bias + first, fours, lanes));
  const int32x4_t multiplier =
      vldrwq_gather_shifted_offset_z_s32(requant->multiplier + first, fours, lanes);
  const int32x4_t shift = vldrbq_gather_offset_z_s32(requant->shift + first, fours, lanes);
  x = requant->simple ? rescale_lanes_right(x, multiplier, shift)
                      : rescale_lanes(x, multiplier, shift);
  x = finish_lanes(x, finish);
  vstrbq_scatter_offset_p_s32(out + first, fours, x, lanes);
  if (sums) {
    const int32x4_t before = vldrwq_gather_shifted_offset_z_s32(sums + first, fours, lanes);
    vstrwq_scatter_shifted_offset_p_s32(sums + first, fours, vaddq_s32(before, x), lanes);
  }
}

// The sums of channels 0, 4, .. then 1, 5, .. and so on of one group at one pixel.
typedef struct {
  int32x4_t every_fourth[4];
} Sums;

ALWAYS_INLINE Sums widen(Sums sums, int16x8_t even, int16x8_t odd) {
  return (Sums){{vaddq_s32(sums.every_fourth[0], vmovlbq_s16(even)),
                 vaddq_s32(sums.every_fourth[1], vmovlbq_s16(odd)),
                 vaddq_s32(sums.every_fourth[2], vmovltq_s16(even)),
                 vaddq_s32(sums.every_fourth[3], vmovltq_s16(odd))}};
}

// `predicate` says which bytes of the last group may be read.
ALWAYS_INLINE Sums convolve_group(const int8_t* const* taps, int32_t tap_count, int32_t first,
                                  const int8_t* weights, int whole, mve_pred16_t predicate) {
  const int32x4_t zero = vdupq_n_s32(0);
  Sums sums = {{zero, zero, zero, zero}};
  for (int32_t pairs = tap_count / 2; pairs > 0; --pairs, taps += 2, weights += 2 * kGroup) {
    const int8_t *a = taps[0] + first, *b = taps[1] + first;
    const int8x16_t x = whole ? vldrbq_s8(a) : vldrbq_z_s8(a, predicate);
    const int8x16_t y = whole ? vldrbq_s8(b) : vldrbq_z_s8(b, predicate);
    const int8x16_t w = vldrbq_s8(weights), v = vldrbq_s8(weights + kGroup);
    const int16x8_t even = vaddq_s16(vmullbq_int_s8(x, w), vmullbq_int_s8(y, v));
    const int16x8_t odd = vaddq_s16(vmulltq_int_s8(x, w), vmulltq_int_s8(y, v));
    sums = widen(sums, even, odd);
  }
  if (tap_count % 2) {
    const int8x16_t x = whole ? vldrbq_s8(*taps + first) : vldrbq_z_s8(*taps + first, predicate);
    const int8x16_t w = vldrbq_s8(weights);
    sums = widen(sums, vmullbq_int_s8(x, w), vmulltq_int_s8(x, w));
  }
  return sums;
}

static void convolve_pixel(const int8_t* const* taps, int32_t tap_count, int32_t channels,
                           const int8_t* weights, const Requant* requant, const Finish* finish,
                           int8_t* out, int32_t* sums) {
  for (int32_t c = 0; c < channels; c += kGroup, weights += kGroup * tap_count) {
    const int32_t left = channels - c;
    const Sums group = left >= kGroup
                           ? convolve_group(taps, tap_count, c, weights, 1, 0)
                           : convolve_group(taps, tap_count, c, weights, 0, vctp8q((uint32_t)left));
#pragma GCC unroll 4
    for (int32_t i = 0; i < 4; ++i) {
      store_lanes(group.every_fourth[i], c + i, vctp32q((uint32_t)(left + 3 - i) / 4), requant,
                  finish, out, sums);
    }
  }
}

void kernel_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                          const Requant* requant, int8_t* out, int32_t* sums, void* scratch) {
  const Finish finish = finish_of(requant->zero_point, requant->table);
  const int32_t channels = window->in_channels;
  const int32_t tap_count = window->kernel_height * window->kernel_width;
  const int8_t** taps = scratch;
  int8_t* outside = (int8_t*)(taps + tap_count);
  memset(outside, window->pad_value, (size_t)channels);
  int32_t first_column = -window->pad_left;
  for (int32_t x = 0; x < window->out_width; ++x, out += channels) {
    point_at_pixels(rows, window, first_column, outside, taps);
    convolve_pixel(taps, tap_count, channels, weights, requant, &finish, out, sums);
    first_column += window->stride;
  }
}
