// Convolutions: sixteen inputs of a column at a time against four weight rows; the four sums become
// the lanes of one vector to be requantised.
#include "../gather.h"
#include "../kernels.h"
#include "requantize.h"

enum { kLanes = 4 };

// The products of one column with four rows of k weights, as lanes.
static inline int32x4_t multiply_rows(const int8_t* column, const int8_t* row0, const int8_t* row1,
                                      const int8_t* row2, const int8_t* row3, int32_t k) {
  int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
  // The tail-predicated loop that GCC 12 cannot be brought to write.
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
  int32x4_t sums = vuninitializedq_s32();
  sums = vsetq_lane_s32(sum0, sums, 0);
  sums = vsetq_lane_s32(sum1, sums, 1);
  sums = vsetq_lane_s32(sum2, sums, 2);
  return vsetq_lane_s32(sum3, sums, 3);
}

static void multiply_column(const int8_t* column, int32_t k, int32_t cout, const int8_t* weights,
                            const Requant* requant, const Finish* finish, int8_t* out) {
  for (int32_t c = 0; c < cout; c += kLanes, weights += kLanes * k) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(cout - c));
    // Rows that do not exist are replaced by the first; their lanes are not stored.
    const int32_t left = cout - c;
    const int8_t* const row1 = left > 1 ? weights + k : weights;
    const int8_t* const row2 = left > 2 ? weights + 2 * k : weights;
    const int8_t* const row3 = left > 3 ? weights + 3 * k : weights;
    int32x4_t x = multiply_rows(column, weights, row1, row2, row3, k);
    x = vaddq_s32(x, vldrwq_z_s32(requant->bias + c, lanes));
    const int32x4_t multiplier = vldrwq_z_s32(requant->multiplier + c, lanes);
    const int32x4_t shift = vldrbq_z_s32(requant->shift + c, lanes);
    x = requant->simple ? rescale_lanes_right(x, multiplier, shift)
                        : rescale_lanes(x, multiplier, shift);
    vstrbq_p_s32(out + c, finish_lanes(x, finish), lanes);
  }
}

void kernel_conv1x1(const int8_t* in, int32_t pixels, int32_t cin, int32_t cout,
                    const int8_t* weights, const Requant* requant, int8_t* out, void* scratch) {
  (void)scratch;
  const Finish finish = finish_of(requant->zero_point, requant->table);
  for (int32_t p = 0; p < pixels; ++p, in += cin, out += cout) {
    multiply_column(in, cin, cout, weights, requant, &finish, out);
  }
}

void kernel_conv_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                     const Requant* requant, int8_t* out, void* scratch) {
  const Finish finish = finish_of(requant->zero_point, requant->table);
  const int32_t k = window->kernel_height * window->kernel_width * window->in_channels;
  int32_t first_column = -window->pad_left;
  for (int32_t x = 0; x < window->out_width; ++x, first_column += window->stride) {
    gather_column(rows, window, first_column, scratch);
    multiply_column(scratch, k, window->out_channels, weights, requant, &finish, out);
    out += window->out_channels;
  }
}
