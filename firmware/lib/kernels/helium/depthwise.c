// Depthwise convolution: the taps of a channel's window are made contiguous, so that one
// instruction multiplies and adds up sixteen of them. The pixels of sixteen channels are copied
// into planes in scratch, [channel][column][row]; a window is then kernel_height * kernel_width
// contiguous bytes. The sums of four neighboring channels become the lanes of one vector to be
// requantized.
#include "../kernels.h"
#include "fours.h"
#include "requantize.h"

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

static void convolve_fours(MultiplyFours* multiply, const Group* group, int32_t c, int32_t end,
                           const int8_t* plane, const int8_t* weights) {
  const Requant* const requant = group->requant;
  const Finish finish = finish_of(requant->zero_point, requant->table);
  Fours fours = {.plane = plane,
                 .plane_bytes = group->plane_bytes,
                 .weights = weights,
                 .bias = requant->bias + c,
                 .multiplier = requant->multiplier + c,
                 .shift = requant->shift + c,
                 .out = group->out + c,
                 .sums = group->sums ? group->sums + c : 0,
                 .channels = group->channels,
                 .zero_point = finish.zero_point,
                 .table = finish.table,
                 .more = group->outputs - 1,
                 .groups = (end - c) / kLanes};
  multiply(&fours);
}

static int all_shifted(const int8_t* shift) {
  return shift[0] < 0 && shift[1] < 0 && shift[2] < 0 && shift[3] < 0;
}

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
  const Requant* const requant = group->requant;
  MultiplyFours* const multiply =
      requant->simple
          ? kernel_fours_for(group->weight_bytes, group->window_step, requant->table != 0)
          : 0;
  const int8_t *plane = group->plane, *weights = group->weights;
  for (int32_t c = group->first, next; c < group->end; c = next) {
    next = c;  // up to the first four that need the general computation
    while (multiply && next + kLanes <= group->end &&
           (requant->simple == 2 || all_shifted(requant->shift + next))) {
      next += kLanes;
    }
    if (next > c) {
      convolve_fours(multiply, group, c, next, plane, weights);
    } else {
      next = c + kLanes;
      any_channels(group, c, plane, weights);
    }
    plane += (next - c) * group->plane_bytes;
    weights += (next - c) * group->weight_bytes;
  }
}

// Pixels of sixteen channels, `step` bytes apart, into planes of `plane` bytes, where columns lie
// `height` bytes apart. Even channels are the low bytes of eight lanes, odd ones the high bytes.
// LOAD loads one, LANES prepares that. (LANES changes the predicate register, which GCC 12 cannot
// list as clobbered. A call may change it, so this is a separate function.)
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

// The same for planes that are too large for the offsets of vector stores.
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
    // The last group begins with channels that are done already, so that all its planes exist.
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
