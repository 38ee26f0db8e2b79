// The inner loops of a convolution, in assembly for the order of their instructions: dsp and dsp_m7
// differ only in that order. Weights are those of a pair of rows, see conv.c; `end` is where a
// pointer stops, and is not where it begins.
//
// Columns   [batches][blocks][2][3] words: the even pairs of three pixels, then their odd pairs.
// Weights   [blocks][2][2] words: the even pairs of both rows, then their odd pairs.
//
// inner_loops.c is written in assembly, once for each schedule, because six sums, two weights,
// three inputs, two pointers and an end fill all 14 registers of the inner loop, so that everything
// else stays on the stack; a compiler needs more than half as many moves more. The loop is unrolled
// four times: it is entered at the block from which it ends exactly at the end of the weights.
#ifndef FIRMWARE_LIB_KERNELS_DSP_INNER_LOOPS_H_
#define FIRMWARE_LIB_KERNELS_DSP_INNER_LOOPS_H_

#include <arm_acle.h>
#include <stdint.h>

// Pairs of neighboring output channels of pixels whose columns are widened; pairs.h knows the
// order.
typedef struct {
  const int8_t* middle_of_table;
  int32_t cout;  // bytes from one pixel's outputs to the next one's
  const int32_t* multiplier;
  const int8_t* shift;
  const int32_t* bias;
  const int8_t* weights;
  int32_t odd_zero_point;  // 2 * zero_point + 1
  int32_t pairs;
  int8_t* out;
  int32_t out_bytes;  // pixels * cout; pixels are whole batches
  int16x2_t* wide_weights;
  const int16x2_t* columns;
  int32_t blocks;
} Pairs;

// For layers that are simple; a channel whose shift is not below 0 gets wrong bytes. The twelve
// bytes behind the last column may be read.
void kernel_multiply_pairs(const Pairs* pairs);
void kernel_multiply_pairs_with_table(const Pairs* pairs);

// The same of a single pixel, whose column is contiguous. There is always a table.
void kernel_multiply_pixel(const Pairs* pairs);

#endif  // FIRMWARE_LIB_KERNELS_DSP_INNER_LOOPS_H_
