// Depthwise convolution: the windows of a channel are laid side by side, so that sixteen taps are
// multiplied and added up by one instruction. The pixels of sixteen channels are spread into planes
// in scratch, [channel][column][row]; a window is then kernel_height * kernel_width bytes in a row.
// The sums of four neighboring channels become the lanes of one vector to be requantized.
#include "../kernels.h"
#include "requantize.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { kGroup = 16, kLanes = 4, kVector = 16 };
enum { kTile = 16 };  // outputs that planes are made for at a time, at most

static inline int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

// Up to sixteen channels of an output row.
typedef struct {
  const int8_t* plane;    // of the first
  const int8_t* weights;  // of the first
  int32_t first, end;
  int32_t plane_bytes;   // of a channel, and so the two below
  int32_t weight_bytes;  // taps, rounded up to whole vectors
  int32_t taps;
  int32_t window_step;  // bytes from one window to the next
  int32_t outputs, channels;
  const Requant* requant;
  int32_t* sums;  // of what is written, per channel; or NULL
  int8_t* out;    // of the row's first channel
} Group;

// The sum of the window at p of the channel'th of four channels, in one or two vectors, which moves
// p to the next window. What belongs to the requantization of the pixel before is to happen in
// between, as the processor does both at a time.
// clang-format off
#define WINDOW_16(sum, p, channel, a, b, c)      \
  "vldrb.8 q0, [" p "], %[step]\n" a             \
  "vldrb.8 q1, [%[w], #16 * " channel "]\n" b    \
  "vmladav.s8 " sum ", q0, q1\n" c
#define WINDOW_32(sum, p, channel, a, b, c)      \
  "vldrb.8 q0, [" p ", #16]\n" a                 \
  "vldrb.8 q1, [%[w], #32 * " channel " + 16]\n" \
  "vmladav.s8 " sum ", q0, q1\n" b               \
  "vldrb.8 q0, [" p "], %[step]\n"               \
  "vldrb.8 q1, [%[w], #32 * " channel "]\n" c    \
  "vmladava.s8 " sum ", q0, q1\n"

// The steps of requantizing q3, as RESCALE and SATURATE do, of writing it and adding it up.
#define STEP_0 "vadd.i32 q3, q3, %q[bias]\n"
#define STEP_1 "vshr.s32 q2, q3, #31\n"
#define STEP_2 "vqrdmulh.s32 q3, q3, %q[multiplier]\n"
#define STEP_3 "vadd.i32 q3, q3, q2\n"
#define STEP_4 "vrshl.s32 q3, q3, %q[shift]\n"
#define STEP_5 "vqadd.s32 q3, q3, %[zero_point]\n"
#define STEP_6 "vstrb.32 q3, [%[out]]\n"
#define STEP_7 "vadd.i32 %q[total], %q[total], q3\n"
#define STEP_8 "add %[out], %[channels]\n"
#define EACH_STEP(step) STEP_##step
#define NO_STEP(step) ""
#define NO_SATURATION(x, other, table) ""

// The sums of a pixel's four channels into q3, while the steps are taken with those before.
#define PIXEL(window, step, saturate)                                         \
  window("r0", "%[p0]", "0", step(0), step(1), step(2))                       \
  window("r2", "%[p1]", "1", step(3), step(4), step(5))                       \
  window("r4", "%[p2]", "2", saturate("q3", "q2", "%[table]"), step(6), step(7)) \
  "vmov d6, r0, r2\n"                                                         \
  window("r0", "%[p3]", "3", step(8), "", "")                                 \
  "vmov d7, r4, r0\n"

#define FOUR_CHANNELS(window, saturate)                                                        \
  __asm__ volatile(                                                                            \
      "mov lr, r4\n" PIXEL(window, NO_STEP, NO_SATURATION)                                     \
      "wls lr, lr, 2f\n"                                                                       \
      "1: " PIXEL(window, EACH_STEP, saturate)                                                 \
      "le lr, 1b\n"                                                                            \
      "2: " STEP_0 STEP_1 STEP_2 STEP_3 STEP_4 STEP_5 saturate("q3", "q2", "%[table]")         \
      STEP_6 STEP_7                                                                            \
      : [p0] "+r"(p0), [p1] "+r"(p1), [p2] "+r"(p2), [p3] "+r"(p3), [out] "+l"(out),           \
        "+r"(more), [total] "+w"(total)                                                        \
      : [w] "r"(weights), [step] "i"(step), [channels] "r"(group->channels),                   \
        [zero_point] "r"(finish.zero_point), [table] "r"(finish.table),                        \
        [bias] "w"(vldrwq_s32(requant->bias + c)),                                             \
        [multiplier] "w"(vldrwq_s32(requant->multiplier + c)),                                 \
        [shift] "w"(vldrbq_s32(requant->shift + c))                                            \
      : "r0", "r2", "q0", "q1", "q2", "q3", "lr", "memory")
// clang-format on

// Four channels from c on, of a simple layer whose channels have no shift of 0; windows are `step`
// bytes apart.
ALWAYS_INLINE void four_channels(const Group* group, int32_t c, const int8_t* p0,
                                 const int8_t* weights, int32_t vectors, const int32_t step) {
  const Requant* const requant = group->requant;
  const Finish finish = finish_of(requant->zero_point, requant->table);
  const int8_t* p1 = p0 + group->plane_bytes;
  const int8_t* p2 = p1 + group->plane_bytes;
  const int8_t* p3 = p2 + group->plane_bytes;
  int8_t* out = group->out + c;
  int32x4_t total = vdupq_n_s32(0);
  if (group->sums) total = vldrwq_s32(group->sums + c);
  register int32_t more __asm__("r4") = group->outputs - 1;
  if (vectors == 1 && finish.table) {
    FOUR_CHANNELS(WINDOW_16, LOOK_UP_SATURATED);
  } else if (vectors == 1) {
    FOUR_CHANNELS(WINDOW_16, SATURATE);
  } else if (finish.table) {
    FOUR_CHANNELS(WINDOW_32, LOOK_UP_SATURATED);
  } else {
    FOUR_CHANNELS(WINDOW_32, SATURATE);
  }
  if (group->sums) vstrwq_s32(group->sums + c, total);
}

// One function for each distance of windows, which is part of an instruction.
typedef void FourChannels(const Group* group, int32_t c, const int8_t* plane,
                          const int8_t* weights);
#define DEFINE_FOUR(vectors, step)                                                        \
  static void four_##vectors##_##step(const Group* group, int32_t c, const int8_t* plane, \
                                      const int8_t* weights) {                            \
    four_channels(group, c, plane, weights, vectors, step);                               \
  }
DEFINE_FOUR(1, 3)
DEFINE_FOUR(1, 6)
DEFINE_FOUR(2, 5)
DEFINE_FOUR(2, 10)

// That for a window, or NULL.
static FourChannels* four_for(const Group* group) {
  if (!group->requant->simple) return 0;
  if (group->weight_bytes == kVector) {
    return group->window_step == 3 ? four_1_3 : group->window_step == 6 ? four_1_6 : 0;
  }
  if (group->weight_bytes > 2 * kVector) return 0;
  return group->window_step == 5 ? four_2_5 : group->window_step == 10 ? four_2_10 : 0;
}

static int all_shifted(const int8_t* shift) { return shift[0] && shift[1] && shift[2] && shift[3]; }

static int32_t sum_of(const int8_t* taps, const int8_t* weights, int32_t count, int32_t sum) {
  for (; count > 0; count -= kVector, taps += kVector, weights += kVector) {
    const int8x16_t some = vldrbq_z_s8(taps, vctp8q((uint32_t)count));
    sum = vmladavaq_s8(sum, some, vldrbq_s8(weights));
  }
  return sum;
}

// Up to four channels from c on, of any layer.
static void any_channels(const Group* group, int32_t c, const int8_t* plane,
                         const int8_t* weights) {
  const Requant* const requant = group->requant;
  const Finish finish = finish_of(requant->zero_point, requant->table);
  const int32_t count = smaller(kLanes, group->end - c);
  const mve_pred16_t lanes = vctp32q((uint32_t)count);
  const int32x4_t bias = vldrwq_z_s32(requant->bias + c, lanes);
  const int32x4_t multiplier = vldrwq_z_s32(requant->multiplier + c, lanes);
  const int32x4_t shift = vldrbq_z_s32(requant->shift + c, lanes);
  int32x4_t total = vdupq_n_s32(0);
  int8_t* out = group->out + c;
  for (int32_t x = 0; x < group->outputs; ++x, plane += group->window_step) {
    int32_t sums[kLanes] = {0};
    for (int32_t i = 0; i < count; ++i) {
      sums[i] =
          sum_of(plane + i * group->plane_bytes, weights + i * group->weight_bytes, group->taps, 0);
    }
    const int32x4_t sum = vaddq_s32(vldrwq_s32(sums), bias);
    const int32x4_t q = finish_lanes(rescale_lanes(sum, multiplier, shift), &finish);
    vstrbq_p_s32(out, q, lanes);
    total = vaddq_s32(total, q);
    out += group->channels;
  }
  if (!group->sums) return;
  int32_t* const to = group->sums + c;
  vstrwq_p_s32(to, vaddq_s32(vldrwq_z_s32(to, lanes), total), lanes);
}

static void convolve(const Group* group) {
  FourChannels* const four = four_for(group);
  const int8_t *plane = group->plane, *weights = group->weights;
  for (int32_t c = group->first; c < group->end; c += kLanes) {
    if (four && c + kLanes <= group->end &&
        (group->requant->simple == 2 || all_shifted(group->requant->shift + c))) {
      four(group, c, plane, weights);
    } else {
      any_channels(group, c, plane, weights);
    }
    plane += kLanes * group->plane_bytes;
    weights += kLanes * group->weight_bytes;
  }
}

// Pixels of sixteen channels, `step` bytes apart, into planes of `plane` bytes, where columns lie
// `height` bytes apart. Even channels are the low bytes of eight lanes, odd ones the high bytes.
// LOAD loads one, LANES is what it needs first. (GCC 12 has no name for the predicate, which LANES
// changes; a call may change it, and this is a function of its own.)
#define SPREAD(LANES, LOAD) \
  __asm__ volatile(LANES                                                                  \
                   "wls lr, %[pairs], 2f\n"                                               \
                   "1: " LOAD("q0") "add %[from], %[step]\n"                              \
                   "vstrb.16 q0, [%[to], %q[even]]\n" LOAD("q1") "add %[from], %[step]\n" \
                   "vshr.u16 q0, q0, #8\n"                                                \
                   "vstrb.16 q1, [%[to], %q[next_even]]\n"                                \
                   "vshr.u16 q1, q1, #8\n"                                                \
                   "vstrb.16 q0, [%[to], %q[odd]]\n"                                      \
                   "vstrb.16 q1, [%[to], %q[next_odd]]\n"                                 \
                   "add %[to], %[two_columns]\n"                                          \
                   "le lr, 1b\n"                                                          \
                   "2: cbz %[single], 3f\n" LOAD("q0") "vstrb.16 q0, [%[to], %q[even]]\n" \
                   "vshr.u16 q0, q0, #8\n"                                                \
                   "vstrb.16 q0, [%[to], %q[odd]]\n"                                      \
                   "3:"                                                                   \
                   : [from] "+r"(from), [to] "+r"(to)                                     \
                   : [pairs] "r"(columns / 2), [single] "l"(columns % 2), [step] "r"(step), \
                     [two_columns] "r"(2 * height), [even] "w"(even), [odd] "w"(odd),     \
                     [next_even] "w"(next_even), [next_odd] "w"(next_odd)                 \
                   : "q0", "q1", "lr", "memory")
#define ALL_CHANNELS(q) "vldrb.8 " q ", [%[from]]\n"
#define FEW_CHANNELS(q) "vpst\nvldrbt.8 " q ", [%[from]]\n"

// The rows that are not NULL, from the pixel at `offset` on.
static __attribute__((noinline)) void spread(const int8_t* const* rows, int32_t offset,
                                             int32_t step, uint32_t columns, int8_t* planes,
                                             int32_t height, int32_t plane) {
  const uint16x8_t even = vmulq_n_u16(vidupq_n_u16(0, 2), (uint16_t)plane);
  const uint16x8_t odd = vaddq_n_u16(even, (uint16_t)plane);
  const uint16x8_t next_even = vaddq_n_u16(even, (uint16_t)height);
  const uint16x8_t next_odd = vaddq_n_u16(odd, (uint16_t)height);
  for (int32_t y = 0; y < height; ++y) {
    if (!rows[y]) continue;
    const int8_t* from = rows[y] + offset;
    int8_t* to = planes + y;
    if (step >= kGroup) {
      SPREAD("", ALL_CHANNELS);
    } else {
      SPREAD("vctp.8 %[step]\n", FEW_CHANNELS);
    }
  }
}

// The same where planes are too large for the offsets of vectors.
static void spread_bytes(const int8_t* const* rows, int32_t offset, int32_t step, int32_t columns,
                         int8_t* planes, int32_t height, int32_t plane) {
  for (int32_t y = 0; y < height; ++y) {
    if (!rows[y]) continue;
    const int8_t* from = rows[y] + offset;
    int8_t* to = planes + y;
    for (int32_t x = 0; x < columns; ++x, from += step, to += height) {
      for (int32_t i = 0; i < smaller(kGroup, step); ++i) to[i * plane] = from[i];
    }
  }
}

// `group.outputs` outputs of a row, whose first window begins at the input's column `first`.
static void convolve_tile(const int8_t* const* rows, const Window* window, int32_t first,
                          Group group, int8_t* planes) {
  const int32_t channels = group.channels, height = window->kernel_height;
  const int32_t columns = (group.outputs - 1) * window->stride + window->kernel_width;
  const int32_t plane = height * columns;
  const int32_t left = first < 0 ? -first : 0;  // columns outside the image
  const int32_t start = first < 0 ? 0 : first * channels;
  const int32_t inside = smaller(window->in_width - first - left, columns - left);
  const int8x16_t outside = vdupq_n_s8(window->pad_value);
  for (int32_t i = 0; i < plane; ++i) vstrbq_s8(planes + i * kVector, outside);
  group.plane_bytes = plane;
  for (; group.first < channels; group.first = group.end) {
    // The last group's planes begin with channels that are done, so that all of them exist.
    const int32_t from = channels < kGroup ? 0 : smaller(group.first, channels - kGroup);
    int8_t* const to = planes + left * height;
    if (inside > 0 && (kGroup - 1) * plane <= UINT16_MAX) {
      spread(rows, start + from, channels, (uint32_t)inside, to, height, plane);
    } else if (inside > 0) {
      spread_bytes(rows, start + from, channels, inside, to, height, plane);
    }
    group.end = smaller(group.first + kGroup, channels);
    group.plane = planes + (group.first - from) * plane;
    convolve(&group);
    group.weights += kGroup * group.weight_bytes;
  }
}

void kernel_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                          const Requant* requant, int8_t* out, int32_t* sums, void* scratch) {
  const int32_t height = window->kernel_height, taps = height * window->kernel_width;
  const int32_t tiles = (window->out_width + kTile - 1) / kTile;
  const int32_t tile = (window->out_width + tiles - 1) / tiles;
  Group group = {.weights = weights,
                 .weight_bytes = (taps + kVector - 1) / kVector * kVector,
                 .taps = taps,
                 .window_step = height * window->stride,
                 .channels = window->in_channels,
                 .requant = requant,
                 .sums = sums,
                 .out = out};
  for (int32_t x = 0; x < window->out_width; x += tile) {
    group.outputs = smaller(tile, window->out_width - x);
    convolve_tile(rows, window, x * window->stride - window->pad_left, group, scratch);
    group.out += tile * group.channels;
  }
}
