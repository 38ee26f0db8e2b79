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
    const int8_t* pixel = rows[y] ? rows[y] + first_column * channels : outside;
    for (int32_t x = first_column; x < first_column + width; ++x, pixel += channels) {
      *taps++ = rows[y] && (uint32_t)x < in_width ? pixel : outside;
    }
  }
}

// Moves every pointer on, four at a time.
static void advance(const int8_t** taps, int32_t tap_count, int32_t bytes) {
  for (int32_t t = 0; t < tap_count; t += 4) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(tap_count - t));
    uint32_t* const addresses = (uint32_t*)(taps + t);
    const uint32x4_t moved = vaddq_n_u32(vldrwq_z_u32(addresses, lanes), (uint32_t)bytes);
    vstrwq_p_u32(addresses, moved, lanes);
  }
}

// Four neighbouring channels from c on, those of `lanes`: requantised, written and added up.
static void store_lanes(int32x4_t x, int32_t c, mve_pred16_t lanes, const Requant* requant,
                        const Finish* finish, int8_t* out, int32_t* sums) {
  x = rescale_lanes(x, vldrwq_z_s32(requant->multiplier + c, lanes),
                    vldrbq_z_s32(requant->shift + c, lanes));
  x = finish_lanes(x, finish);
  vstrbq_p_s32(out + c, x, lanes);
  if (sums) vstrwq_p_s32(sums + c, vaddq_s32(vldrwq_z_s32(sums + c, lanes), x), lanes);
}

// The sums of channels 0, 4, .. then 1, 5, .. and so on of one group at one pixel: the order in
// which VST4 writes them side by side again.
ALWAYS_INLINE int32x4x4_t widen(int32x4x4_t sums, int16x8_t even, int16x8_t odd) {
  sums.val[0] = vaddq_s32(sums.val[0], vmovlbq_s16(even));
  sums.val[1] = vaddq_s32(sums.val[1], vmovlbq_s16(odd));
  sums.val[2] = vaddq_s32(sums.val[2], vmovltq_s16(even));
  sums.val[3] = vaddq_s32(sums.val[3], vmovltq_s16(odd));
  return sums;
}

// The sums of a whole group, bias and all its taps, side by side in `sums`. Four vectors for the
// sums leave four to work with, one too few: the second pixel of a pair is loaded twice.
static __attribute__((noinline)) void add_taps(const int8_t* const* taps, int32_t tap_count,
                                               int32_t first, const int8_t* weights,
                                               const int32_t* bias, int32_t* sums) {
  const int8_t *a, *b;
  __asm__ volatile(
      "vld40.32 {q4, q5, q6, q7}, [%[bias]]\n"
      "vld41.32 {q4, q5, q6, q7}, [%[bias]]\n"
      "vld42.32 {q4, q5, q6, q7}, [%[bias]]\n"
      "vld43.32 {q4, q5, q6, q7}, [%[bias]]\n"
      "wls lr, %[pairs], 2f\n"
      "1: ldrd %[a], %[b], [%[taps]], #8\n"
      "add %[a], %[a], %[first]\n"
      "add %[b], %[b], %[first]\n"
      "vldrb.8 q0, [%[a]]\n"
      "vldrb.8 q1, [%[weights]], #16\n"
      "vmullb.s8 q2, q0, q1\n"
      "vldrb.8 q3, [%[weights]], #16\n"
      "vmullt.s8 q0, q0, q1\n"
      "vldrb.8 q1, [%[b]]\n"
      "vmullb.s8 q1, q1, q3\n"
      "vadd.i16 q2, q2, q1\n"
      "vldrb.8 q1, [%[b]]\n"
      "vmullt.s8 q1, q1, q3\n"
      "vadd.i16 q0, q0, q1\n"
      "vmovlb.s16 q1, q2\n"
      "vadd.i32 q4, q4, q1\n"
      "vmovlt.s16 q3, q2\n"
      "vadd.i32 q6, q6, q3\n"
      "vmovlb.s16 q1, q0\n"
      "vadd.i32 q5, q5, q1\n"
      "vmovlt.s16 q3, q0\n"
      "vadd.i32 q7, q7, q3\n"
      "le lr, 1b\n"
      "2: cbz %[odd], 3f\n"
      "ldr %[a], [%[taps]]\n"
      "add %[a], %[a], %[first]\n"
      "vldrb.8 q0, [%[a]]\n"
      "vldrb.8 q1, [%[weights]]\n"
      "vmullb.s8 q2, q0, q1\n"
      "vmullt.s8 q0, q0, q1\n"
      "vmovlb.s16 q1, q2\n"
      "vadd.i32 q4, q4, q1\n"
      "vmovlt.s16 q3, q2\n"
      "vadd.i32 q6, q6, q3\n"
      "vmovlb.s16 q1, q0\n"
      "vadd.i32 q5, q5, q1\n"
      "vmovlt.s16 q3, q0\n"
      "vadd.i32 q7, q7, q3\n"
      "3: vst40.32 {q4, q5, q6, q7}, [%[sums]]\n"
      "vst41.32 {q4, q5, q6, q7}, [%[sums]]\n"
      "vst42.32 {q4, q5, q6, q7}, [%[sums]]\n"
      "vst43.32 {q4, q5, q6, q7}, [%[sums]]"
      : [taps] "+r"(taps), [weights] "+r"(weights), [a] "=&r"(a), [b] "=&r"(b)
      : [pairs] "r"(tap_count / 2), [odd] "l"(tap_count % 2), [first] "r"(first), [bias] "r"(bias),
        [sums] "r"(sums)
      : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "lr", "memory");
}

// Sixteen neighbouring channels of a simple layer, as store_lanes. Written out: a compiler computes
// every address anew.
#define STORE_SIXTEEN(saturate) \
  __asm__ volatile(                                                                              \
      "dls lr, %[vectors]\n"                                                                     \
      "1: vldrw.32 q0, [%[x]], #16\n"                                                            \
      "vldrw.32 q1, [%[multiplier]], #16\n"                                                      \
      "vqrdmulh.s32 q0, q0, q1\n"                                                                \
      "vldrb.s32 q1, [%[shift]], #4\n"                                                           \
      "vand q2, q0, q1\n"                                                                        \
      "vshr.s32 q2, q2, #31\n"                                                                   \
      "vadd.i32 q0, q0, q2\n"                                                                    \
      "vrshl.s32 q0, q0, q1\n"                                                                   \
      "vqadd.s32 q0, q0, %[zero_point]\n" saturate("%[table]") "vstrb.32 q0, [%[out]], #4\n"      \
      "vldrw.32 q1, [%[sums]]\n"                                                                 \
      "vadd.i32 q1, q1, q0\n"                                                                    \
      "vstrw.32 q1, [%[sums]], #16\n"                                                            \
      "le lr, 1b"                                                                                \
      : [x] "+r"(x), [multiplier] "+r"(multiplier), [shift] "+l"(shift),      \
        [out] "+l"(out), [sums] "+r"(sums)                                                       \
      : [vectors] "r"(4), [zero_point] "r"(finish->zero_point), [table] "r"(finish->table)       \
      : "q0", "q1", "q2", "lr", "memory")

static __attribute__((noinline)) void store_sixteen(const int32_t* x, int32_t c,
                                                    const Requant* requant, const Finish* finish,
                                                    int8_t* out, int32_t* sums) {
  int32_t unused[kGroup];
  const int32_t* multiplier = requant->multiplier + c;
  const int8_t* shift = requant->shift + c;
  out += c;
  sums = sums ? sums + c : unused;
  if (finish->table) {
    STORE_SIXTEEN(LOOK_UP_SATURATED);
  } else {
    STORE_SIXTEEN(SATURATE);
  }
}

static void convolve_whole_group(const int8_t* const* taps, int32_t tap_count, int32_t c,
                                 const int8_t* weights, const Requant* requant,
                                 const Finish* finish, int8_t* out, int32_t* sums) {
  int32_t side_by_side[kGroup];
  add_taps(taps, tap_count, c, weights, requant->bias + c, side_by_side);
  if (requant->simple) {
    store_sixteen(side_by_side, c, requant, finish, out, sums);
    return;
  }
  for (int32_t i = 0; i < kGroup; i += 4) {
    store_lanes(vldrwq_s32(side_by_side + i), c + i, vctp32q(4), requant, finish, out, sums);
  }
}

// The last group, of which only `left` channels exist.
static void convolve_last_group(const int8_t* const* taps, int32_t tap_count, int32_t c,
                                int32_t left, const int8_t* weights, const Requant* requant,
                                const Finish* finish, int8_t* out, int32_t* sums) {
  const mve_pred16_t bytes = vctp8q((uint32_t)left);
  const int32x4_t zero = vdupq_n_s32(0);
  int32x4x4_t group = {{zero, zero, zero, zero}};
  for (int32_t t = 0; t < tap_count; ++t, weights += kGroup) {
    const int8x16_t x = vldrbq_z_s8(taps[t] + c, bytes);
    const int8x16_t w = vldrbq_s8(weights);
    group = widen(group, vmullbq_int_s8(x, w), vmulltq_int_s8(x, w));
  }
  int32_t side_by_side[kGroup];
  vst4q_s32(side_by_side, group);
  for (int32_t i = 0; i < left; i += 4) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(left - i));
    const int32x4_t bias = vldrwq_z_s32(requant->bias + c + i, lanes);
    store_lanes(vaddq_s32(vldrwq_s32(side_by_side + i), bias), c + i, lanes, requant, finish, out,
                sums);
  }
}

static void convolve_pixel(const int8_t* const* taps, int32_t tap_count, int32_t channels,
                           const int8_t* weights, const Requant* requant, const Finish* finish,
                           int8_t* out, int32_t* sums) {
  int32_t c = 0;
  for (; c + kGroup <= channels; c += kGroup, weights += kGroup * tap_count) {
    convolve_whole_group(taps, tap_count, c, weights, requant, finish, out, sums);
  }
  if (c < channels) {
    convolve_last_group(taps, tap_count, c, channels - c, weights, requant, finish, out, sums);
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
  int all_rows = 1;
  for (int32_t y = 0; y < window->kernel_height; ++y) all_rows &= rows[y] != 0;
  const int32_t last_inside = window->in_width - window->kernel_width;
  int was_inside = 0;
  int32_t first_column = -window->pad_left;
  for (int32_t x = 0; x < window->out_width; ++x, out += channels) {
    const int inside = all_rows && first_column >= 0 && first_column <= last_inside;
    if (inside && was_inside) {
      advance(taps, tap_count, window->stride * channels);
    } else {
      point_at_pixels(rows, window, first_column, outside, taps);
    }
    was_inside = inside;
    convolve_pixel(taps, tap_count, channels, weights, requant, &finish, out, sums);
    first_column += window->stride;
  }
}
