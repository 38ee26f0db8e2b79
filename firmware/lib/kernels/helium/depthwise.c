// Depthwise convolution, eight channels at a time in 16-bit lanes. A widening multiply takes the
// even or the odd lanes, so the sums of even and of odd channels are kept and requantised apart.
#include <string.h>

#include "../kernels.h"
#include "requantize.h"

enum { kGroup = 8 };

static void point_at_pixels(const int8_t* const* rows, const Window* window, int32_t first_column,
                            const int8_t* outside, const int8_t** taps) {
  for (int32_t y = 0; y < window->kernel_height; ++y) {
    for (int32_t x = first_column; x < first_column + window->kernel_width; ++x) {
      const int inside = rows[y] && x >= 0 && x < window->in_width;
      *taps++ = inside ? rows[y] + x * window->in_channels : outside;
    }
  }
}

// Every second channel from `first` on: requantised, written and added up.
static inline void store_lanes(int32x4_t x, int32_t first, mve_pred16_t lanes,
                               const Requant* requant, const Finish* finish, int8_t* out,
                               int32_t* sums) {
  const uint32x4_t twos = vidupq_n_u32(0, 2);
  x = vaddq_s32(x, vldrwq_gather_shifted_offset_z_s32(requant->bias + first, twos, lanes));
  const int32x4_t multiplier =
      vldrwq_gather_shifted_offset_z_s32(requant->multiplier + first, twos, lanes);
  const int32x4_t shift = vldrbq_gather_offset_z_s32(requant->shift + first, twos, lanes);
  x = requant->simple ? rescale_lanes_right(x, multiplier, shift)
                      : rescale_lanes(x, multiplier, shift);
  x = finish_lanes(x, finish);
  vstrbq_scatter_offset_p_s32(out + first, twos, x, lanes);
  if (sums) {
    const int32x4_t before = vldrwq_gather_shifted_offset_z_s32(sums + first, twos, lanes);
    vstrwq_scatter_shifted_offset_p_s32(sums + first, twos, vaddq_s32(before, x), lanes);
  }
}

static void convolve_pixel(const int8_t* const* taps, int32_t tap_count, int32_t channels,
                           const int8_t* weights, const Requant* requant, const Finish* finish,
                           int8_t* out, int32_t* sums) {
  for (int32_t c = 0; c < channels; c += kGroup) {
    const int32_t left = channels - c;
    const mve_pred16_t lanes = vctp16q((uint32_t)left);
    const int8_t* weight = weights + c;
    int32x4_t even = vdupq_n_s32(0), odd = vdupq_n_s32(0);
    for (int32_t t = 0; t < tap_count; ++t, weight += channels) {
      const int16x8_t x = vldrbq_z_s16(taps[t] + c, lanes);
      const int16x8_t w = vldrbq_z_s16(weight, lanes);
      even = vaddq_s32(even, vmullbq_int_s16(x, w));
      odd = vaddq_s32(odd, vmulltq_int_s16(x, w));
    }
    store_lanes(even, c, vctp32q((uint32_t)(left + 1) / 2), requant, finish, out, sums);
    store_lanes(odd, c + 1, vctp32q((uint32_t)left / 2), requant, finish, out, sums);
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
