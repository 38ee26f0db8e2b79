// Convolutions: sixteen inputs of a column at a time against four weight rows; the four sums become
// the lanes of one vector to be requantized.
#include "../always_inline.h"
#include "../gather.h"
#include "../kernels.h"
#include "requantize.h"
#include "shallow.h"

enum { kLanes = 4 };

// Four neighboring output channels.
typedef struct {
  const int8_t* rows[kLanes];  // of weights
  int32_t bias[kLanes];
  int32x4_t multiplier;
  int32x4_t shift;
  mve_pred16_t lanes;  // those that exist
} Channels;

// Rows that do not exist are replaced by the first; their lanes are not stored. (Without a loop:
// the compiler would make more instructions of a loop over four lanes.)
static inline Channels channels_from(int32_t c, int32_t k, int32_t cout, const int8_t* weights,
                                     const Requant* requant) {
  const mve_pred16_t lanes = vctp32q((uint32_t)(cout - c));
  const int32_t second = c + 1 < cout ? c + 1 : c;
  const int32_t third = c + 2 < cout ? c + 2 : c;
  const int32_t fourth = c + 3 < cout ? c + 3 : c;
  const int32_t* const bias = requant->bias;
  return (Channels){
      .rows = {weights + c * k, weights + second * k, weights + third * k, weights + fourth * k},
      .bias = {bias[c], bias[second], bias[third], bias[fourth]},
      .multiplier = vldrwq_z_s32(requant->multiplier + c, lanes),
      .shift = vldrbq_z_s32(requant->shift + c, lanes),
      .lanes = lanes};
}

// The products of one column with four rows of k weights, as lanes.
ALWAYS_INLINE int32x4_t multiply_rows(const int8_t* column, const Channels* channels, int32_t k) {
  const int8_t *row0 = channels->rows[0], *row1 = channels->rows[1];
  const int8_t *row2 = channels->rows[2], *row3 = channels->rows[3];
  int32_t sum0 = channels->bias[0], sum1 = channels->bias[1];
  int32_t sum2 = channels->bias[2], sum3 = channels->bias[3];
  // In assembly, because GCC 12 does not generate this tail-predicated loop.
  __asm__ volatile(
      "dlstp.8 lr, %[k]\n"
      "1: vldrb.8 q0, [%[column]], #16\n"
      "vldrb.8 q1, [%[row0]], #16\n"
      "vmladava.s8 %[sum0], q0, q1\n"
      "vldrb.8 q2, [%[row1]], #16\n"
      "vmladava.s8 %[sum1], q0, q2\n"
      "vldrb.8 q3, [%[row2]], #16\n"
      "vmladava.s8 %[sum2], q0, q3\n"
      "vldrb.8 q1, [%[row3]], #16\n"
      "vmladava.s8 %[sum3], q0, q1\n"
      "letp lr, 1b"
      : [sum0] "+Te"(sum0), [sum1] "+Te"(sum1), [sum2] "+Te"(sum2), [sum3] "+Te"(sum3),
        [column] "+r"(column), [row0] "+r"(row0), [row1] "+r"(row1), [row2] "+r"(row2),
        [row3] "+r"(row3)
      : [k] "r"(k)
      : "q0", "q1", "q2", "q3", "lr", "memory");
  int32x4_t sums;
  __asm__(
      "vmov %e[sums], %[sum0], %[sum1]\n"
      "vmov %f[sums], %[sum2], %[sum3]"
      : [sums] "=&w"(sums)
      : [sum0] "r"(sum0), [sum1] "r"(sum1), [sum2] "r"(sum2), [sum3] "r"(sum3));
  return sums;
}

// Four output channels of `pixels` columns that lie k bytes apart.
static void multiply_columns(const int8_t* column, int32_t pixels, int32_t k,
                             const Channels* channels, const Finish* finish, int8_t* out,
                             int32_t cout) {
  for (; pixels > 0; --pixels, column += k, out += cout) {
    int32x4_t x = multiply_rows(column, channels, k);
    x = rescale_lanes(x, channels->multiplier, channels->shift);
    vstrbq_p_s32(out, finish_lanes(x, finish), channels->lanes);
  }
}

// Four channels that all exist. Loaded in this order, sums start in even registers, as VMLADAVA
// requires; behind them lies what is needed after the summation.
typedef struct {
  int32_t bias0;
  const int8_t* row0;
  int32_t bias1;
  const int8_t* row1;
  int32_t bias2;
  const int8_t* row2;
  int32_t bias3;
  const int8_t* row3;
  struct {
    int32_t zero_point;  // and 128 more where there is a table
    const int8_t* table;
    int32_t cout;
    const int8_t* out_end;
    int32_t back;  // from the end of a column's last vector to the end of the column
  } then;
} Four;

// The same where all shifts are below 0 (Requant.simple is 2), in one assembly block: a compiler
// needs half as many moves more. See RESCALE and SATURATE in requantize.h.
#define MULTIPLY_FOUR(saturate) \
  __asm__ volatile(                                                    \
      "1: ldm %[four], {r0, r1, r2, r3, r4, r5, r6, r7}\n"             \
      "dlstp.8 lr, %[k]\n"                                             \
      "2: vldrb.8 q0, [%[column]], #16\n"                              \
      "vldrb.8 q1, [r1], #16\n"                                        \
      "vmladava.s8 r0, q0, q1\n"                                       \
      "vldrb.8 q2, [r3], #16\n"                                        \
      "vmladava.s8 r2, q0, q2\n"                                       \
      "vldrb.8 q3, [r5], #16\n"                                        \
      "vmladava.s8 r4, q0, q3\n"                                       \
      "vldrb.8 q1, [r7], #16\n"                                        \
      "vmladava.s8 r6, q0, q1\n"                                       \
      "letp lr, 2b\n"                                                  \
      "vmov d0, r0, r2\n"                                              \
      "vmov d1, r4, r6\n"                                              \
      "ldm %[then], {r0, r1, r2, r3, r4}\n"                            \
      "add %[column], r4\n"                                            \
      RESCALE("%q[multiplier]", "%q[shift]")                           \
      "vqadd.s32 q0, q0, r0\n" saturate("q0", "q1", "r1") \
      "mov r4, %[out]\n" /* this store takes a low register */ \
      "vstrb.32 q0, [r4]\n" \
      "add %[out], r2\n"                                               \
      "cmp %[out], r3\n"                                               \
      "bne 1b"                                                         \
      : [column] "+r"(column), [out] "+r"(out)                         \
      : [four] "r"(four), [then] "r"(&four->then), [k] "r"(k), [multiplier] "w"(multiplier), \
        [shift] "w"(shift) \
      : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "lr", "q0", "q1", "q2", "q3", "cc", \
        "memory")

static __attribute__((noinline)) void multiply_four(const Four* four, const int8_t* column,
                                                    int32_t k, int32x4_t multiplier,
                                                    int32x4_t shift, int8_t* out) {
  if (four->then.table) {
    MULTIPLY_FOUR(LOOK_UP_SATURATED);
  } else {
    MULTIPLY_FOUR(SATURATE);
  }
}

static void convolve(const int8_t* columns, int32_t pixels, int32_t k, int32_t cout,
                     const int8_t* weights, const Requant* requant, int8_t* out) {
  const Finish finish = finish_of(requant->zero_point, requant->table);
  int32_t c = 0;
  if (requant->simple == 2 && k <= 32 && pixels > 1) {
    const int32_t done = kernel_convolve_shallow(columns, pixels, k, cout, weights, requant, out);
    const int32_t odd = k > 16 ? pixels % 2 : 0;
    if (odd) {
      const int32_t before = pixels - 1;
      convolve(columns + before * k, 1, k, cout, weights, requant, out + before * cout);
    }
    c = done;
    pixels -= odd;
  } else if (requant->simple == 2) {
    Four four = {.then = {.zero_point = finish.zero_point,
                          .table = requant->table,
                          .cout = cout,
                          .back = k - (k + 15) / 16 * 16}};
    for (; c + kLanes <= cout; c += kLanes) {
      const int32_t* const bias = requant->bias + c;
      four.bias0 = bias[0];
      four.bias1 = bias[1];
      four.bias2 = bias[2];
      four.bias3 = bias[3];
      four.row0 = weights + c * k;
      four.row1 = four.row0 + k;
      four.row2 = four.row1 + k;
      four.row3 = four.row2 + k;
      four.then.out_end = out + c + pixels * cout;
      multiply_four(&four, columns, k, vldrwq_s32(requant->multiplier + c),
                    vldrbq_s32(requant->shift + c), out + c);
    }
  }
  for (; c < cout; c += kLanes) {
    const Channels channels = channels_from(c, k, cout, weights, requant);
    multiply_columns(columns, pixels, k, &channels, &finish, out + c, cout);
  }
}

void kernel_conv1x1(const int8_t* in, int32_t pixels, int32_t cin, int32_t cout,
                    const int8_t* weights, const Requant* requant, int8_t* out, void* scratch) {
  (void)scratch;
  convolve(in, pixels, cin, cout, weights, requant, out);
}

// `count` windows that lie in the image, with lines of up to sixteen bytes, to columns of k bytes.
static __attribute__((noinline)) void gather_short_lines(const int8_t* const* rows,
                                                         const Window* window, int32_t first_column,
                                                         int32_t count, int8_t* columns,
                                                         int32_t k) {
  const int32_t line = window->kernel_width * window->in_channels;
  const int32_t step = window->stride * window->in_channels;
  for (int32_t y = 0; y < window->kernel_height; ++y) {
    const int8_t* from = rows[y] + first_column * window->in_channels;
    int8_t* to = columns + y * line;
    __asm__ volatile(
        "vctp.8 %[line]\n"
        "dls lr, %[count]\n"
        "1: vpstt\n"
        "vldrbt.8 q0, [%[from]]\n"
        "vstrbt.8 q0, [%[to]]\n"
        "add %[from], %[step]\n"
        "add %[to], %[k]\n"
        "le lr, 1b"
        : [from] "+r"(from), [to] "+r"(to)
        : [line] "r"(line), [count] "r"(count), [step] "r"(step), [k] "r"(k)
        : "q0", "lr", "memory");
  }
}

static inline void copy_vectors(int8_t* to, const int8_t* from, int32_t count) {
  if (count <= 16) {
    const mve_pred16_t bytes = vctp8q((uint32_t)count);
    vstrbq_p_s8(to, vldrbq_z_s8(from, bytes), bytes);
    return;
  }
  for (; count > 0; count -= 16, to += 16, from += 16) {
    const mve_pred16_t bytes = vctp8q((uint32_t)count);
    vstrbq_p_s8(to, vldrbq_z_s8(from, bytes), bytes);
  }
}

static int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

// The columns of `count` windows, the first of which begins at the input's column `first`.
static void gather(const int8_t* const* rows, const Window* window, int32_t first, int32_t count,
                   int8_t* columns, int32_t k) {
  int32_t short_lines = window->kernel_width * window->in_channels <= 16;
  for (int32_t y = 0; y < window->kernel_height; ++y) short_lines &= rows[y] != 0;
  for (int32_t p = 0; p < count;) {
    const int32_t column = first + p * window->stride;
    const int32_t room = window->in_width - window->kernel_width - column;
    if (short_lines && column >= 0 && room >= 0) {
      const int32_t inside = smaller(room / window->stride + 1, count - p);
      gather_short_lines(rows, window, column, inside, columns + p * k, k);
      p += inside;
    } else {
      gather_column(rows, window, column, columns + p * k, copy_vectors);
      ++p;
    }
  }
}

void kernel_conv_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                     const Requant* requant, int8_t* out, void* scratch) {
  const int32_t k = window->kernel_height * window->kernel_width * window->in_channels;
  const int32_t most = k <= 64 ? 16 : 8;  // columns that scratch has room for
  int32_t first_column = -window->pad_left;
  for (int32_t pixels = window->out_width; pixels > 0;) {
    const int32_t batch = smaller(pixels, most);
    gather(rows, window, first_column, batch, scratch, k);
    convolve(scratch, batch, k, window->out_channels, weights, requant, out);
    first_column += batch * window->stride;
    out += batch * window->out_channels;
    pixels -= batch;
  }
}
