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

// What stays the same for all groups of a pixel, so that a call takes few arguments.
typedef struct {
  const int8_t* const* taps;
  int32_t offset;  // of its pixels to those that the taps point at
  int32_t tap_count;
  int32_t channels;
  const Requant* requant;
  const Finish* finish;
  int32_t* sums;  // of what is written, per channel; or NULL
  int8_t* out;
} Pixel;

// Four neighbouring channels from c on, those of `lanes`: requantised, written and added up.
static void store_lanes(const Pixel* pixel, int32_t c, int32x4_t x, mve_pred16_t lanes) {
  const Requant* const requant = pixel->requant;
  x = rescale_lanes(x, vldrwq_z_s32(requant->multiplier + c, lanes),
                    vldrbq_z_s32(requant->shift + c, lanes));
  x = finish_lanes(x, pixel->finish);
  vstrbq_p_s32(pixel->out + c, x, lanes);
  if (!pixel->sums) return;
  int32_t* const sums = pixel->sums + c;
  vstrwq_p_s32(sums, vaddq_s32(vldrwq_z_s32(sums, lanes), x), lanes);
}

// The sums of a group, bias and all its taps, side by side in `sums`. Four vectors for the sums
// leave four to work with, one too few: the second pixel of a pair is loaded twice. LOAD reads a
// pixel's channels, LANES is what it needs first. (GCC 12 has no name for the predicate, which
// LANES changes; a call may change it, and this is a function of its own.)
#define ADD_TAPS(LANES, LOAD) \
  __asm__ volatile(                                     \
      "vld40.32 {q4, q5, q6, q7}, [%[bias]]\n"          \
      "vld41.32 {q4, q5, q6, q7}, [%[bias]]\n"          \
      "vld42.32 {q4, q5, q6, q7}, [%[bias]]\n"          \
      "vld43.32 {q4, q5, q6, q7}, [%[bias]]\n" LANES    \
      "wls lr, %[pairs], 2f\n"                          \
      "1: ldrd %[a], %[b], [%[taps]], #8\n"             \
      "add %[a], %[a], %[first]\n"                      \
      "add %[b], %[b], %[first]\n"                      \
      LOAD("q0, [%[a]]")                                \
      "vldrb.8 q1, [%[weights]], #16\n"                 \
      "vmullb.s8 q2, q0, q1\n"                          \
      "vldrb.8 q3, [%[weights]], #16\n"                 \
      "vmullt.s8 q0, q0, q1\n"                          \
      LOAD("q1, [%[b]]")                                \
      "vmullb.s8 q1, q1, q3\n"                          \
      "vadd.i16 q2, q2, q1\n"                           \
      LOAD("q1, [%[b]]")                                \
      "vmullt.s8 q1, q1, q3\n"                          \
      "vadd.i16 q0, q0, q1\n"                           \
      WIDEN                                             \
      "le lr, 1b\n"                                     \
      "2: cbz %[odd], 3f\n"                             \
      "ldr %[a], [%[taps]]\n"                           \
      "add %[a], %[a], %[first]\n"                      \
      LOAD("q0, [%[a]]")                                \
      "vldrb.8 q1, [%[weights]]\n"                      \
      "vmullb.s8 q2, q0, q1\n"                          \
      "vmullt.s8 q0, q0, q1\n"                          \
      WIDEN                                             \
      "3: vst40.32 {q4, q5, q6, q7}, [%[sums]]\n"       \
      "vst41.32 {q4, q5, q6, q7}, [%[sums]]\n"          \
      "vst42.32 {q4, q5, q6, q7}, [%[sums]]\n"          \
      "vst43.32 {q4, q5, q6, q7}, [%[sums]]"            \
      : [taps] "+r"(taps), [weights] "+r"(weights), [a] "=&r"(a), [b] "=&r"(b) \
      : [pairs] "r"(pixel->tap_count / 2), [odd] "l"(pixel->tap_count % 2), [first] "r"(pixel->offset + c), \
        [bias] "r"(bias), [sums] "r"(sums), [left] "r"(pixel->channels - c) \
      : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "lr", "memory")

#define WIDEN             \
  "vmovlb.s16 q1, q2\n"   \
  "vadd.i32 q4, q4, q1\n" \
  "vmovlt.s16 q3, q2\n"   \
  "vadd.i32 q6, q6, q3\n" \
  "vmovlb.s16 q1, q0\n"   \
  "vadd.i32 q5, q5, q1\n" \
  "vmovlt.s16 q3, q0\n"   \
  "vadd.i32 q7, q7, q3\n"

#define LOAD_ALL(what) "vldrb.8 " what "\n"
#define LOAD_LEFT(what) "vpst\nvldrbt.8 " what "\n"

// Of sixteen channels from c on.
static __attribute__((noinline)) void add_taps(const Pixel* pixel, int32_t c, const int8_t* weights,
                                               int32_t* sums) {
  const int8_t *a, *b, *const *taps = pixel->taps;
  const int32_t* const bias = pixel->requant->bias + c;
  ADD_TAPS("", LOAD_ALL);
}

// Of the last channels, fewer than sixteen; `sums` has room for as many.
static __attribute__((noinline)) void add_last_taps(const Pixel* pixel, int32_t c,
                                                    const int8_t* weights, int32_t* sums) {
  const int8_t *a, *b, *const *taps = pixel->taps;
  for (int32_t i = 0; i < pixel->channels - c; i += 4) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(pixel->channels - c - i));
    vstrwq_s32(sums + i, vldrwq_z_s32(pixel->requant->bias + c + i, lanes));
  }
  const int32_t* const bias = sums;  // is read before sums are written
  ADD_TAPS("vctp.8 %[left]\n", LOAD_LEFT);
}

// Vectors of neighbouring channels of a simple layer, as store_lanes. Written out: a compiler
// computes every address anew.
#define STORE_VECTORS(saturate, add_up) \
  __asm__ volatile(                                                                              \
      "dls lr, %[vectors]\n"                                                                     \
      "1: vldrw.32 q0, [%[x]], #16\n"                                                            \
      "vldrw.32 q2, [%[multiplier]], #16\n"                                                      \
      "vldrb.s32 q3, [%[shift]], #4\n" RESCALE("q2", "q3")                                       \
      "vqadd.s32 q0, q0, %[zero_point]\n" saturate("%[table]") "vstrb.32 q0, [%[out]], #4\n"      \
      add_up                                                                                     \
      "le lr, 1b"                                                                                \
      : [x] "+r"(x), [multiplier] "+r"(multiplier), [shift] "+l"(shift),      \
        [out] "+l"(out), [sums] "+r"(sums)                                                       \
      : [vectors] "r"(vectors), [zero_point] "r"(finish->zero_point), [table] "r"(finish->table)       \
      : "q0", "q1", "q2", "q3", "lr", "memory")

#define ADD_UP               \
  "vldrw.32 q1, [%[sums]]\n" \
  "vadd.i32 q1, q1, q0\n"    \
  "vstrw.32 q1, [%[sums]], #16\n"

static __attribute__((noinline)) void store_vectors(const Pixel* pixel, int32_t c, const int32_t* x,
                                                    int32_t vectors) {
  const int32_t* multiplier = pixel->requant->multiplier + c;
  const int8_t* shift = pixel->requant->shift + c;
  const Finish* const finish = pixel->finish;
  int8_t* out = pixel->out + c;
  int32_t* sums = pixel->sums;
  if (!sums) {
    if (finish->table) {
      STORE_VECTORS(LOOK_UP_SATURATED, "");
    } else {
      STORE_VECTORS(SATURATE, "");
    }
    return;
  }
  sums += c;
  if (finish->table) {
    STORE_VECTORS(LOOK_UP_SATURATED, ADD_UP);
  } else {
    STORE_VECTORS(SATURATE, ADD_UP);
  }
}

static void convolve_pixel(const Pixel* pixel, const int8_t* weights) {
  int32_t side_by_side[kGroup];
  const int simple = pixel->requant->simple == 2;
  const int32_t step = kGroup * pixel->tap_count;
  for (int32_t c = 0; c < pixel->channels; c += kGroup, weights += step) {
    const int32_t left = pixel->channels - c;
    int32_t i = 0, end = kGroup;
    if (left >= kGroup) {
      add_taps(pixel, c, weights, side_by_side);
    } else {
      add_last_taps(pixel, c, weights, side_by_side);
      end = left;
    }
    if (simple && end >= 4) {
      store_vectors(pixel, c, side_by_side, end / 4);
      i = end / 4 * 4;
    }
    for (; i < end; i += 4) {
      const mve_pred16_t lanes = vctp32q((uint32_t)(end - i));
      store_lanes(pixel, c + i, vldrwq_s32(side_by_side + i), lanes);
    }
  }
}

void kernel_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                          const Requant* requant, int8_t* out, int32_t* sums, void* scratch) {
  const Finish finish = finish_of(requant->zero_point, requant->table);
  const int32_t channels = window->in_channels;
  const int32_t tap_count = window->kernel_height * window->kernel_width;
  const int8_t** taps = scratch;
  Pixel pixel = {taps, 0, tap_count, channels, requant, &finish, sums, out};
  int8_t* outside = (int8_t*)(taps + tap_count);
  memset(outside, window->pad_value, (size_t)channels);
  int all_rows = 1;
  for (int32_t y = 0; y < window->kernel_height; ++y) all_rows &= rows[y] != 0;
  const int32_t last_inside = window->in_width - window->kernel_width;
  int was_inside = 0;
  int32_t first_column = -window->pad_left;
  for (int32_t x = 0; x < window->out_width; ++x, pixel.out += channels) {
    const int inside = all_rows && first_column >= 0 && first_column <= last_inside;
    if (inside && was_inside) {
      pixel.offset += window->stride * channels;
    } else {
      point_at_pixels(rows, window, first_column, outside, taps);
      pixel.offset = 0;
    }
    was_inside = inside;
    convolve_pixel(&pixel, weights);
    first_column += window->stride;
  }
}
