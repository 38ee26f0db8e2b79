// What a convolution spends most of its time in, written out for the order of its instructions: dsp
// and dsp_m7 differ in that alone. Weights are those of a pair of rows, see conv.c; `end` is where
// a pointer stops, and is not where it begins.
//
// Columns   [batches][blocks][2][3] words: the even pairs of three pixels, then their odd pairs.
// Weights   [blocks][2][2] words: the even pairs of both rows, then their odd pairs.
//
// inner_loops.c is written out, once for each schedule, because six sums, two weights, three
// inputs, two pointers and an end fill all 14 registers of the inner loop, so that everything else
// has to wait on the stack; a compiler moves more than half as much again. Four blocks follow each
// other without a test: the loop is entered so far into them that it ends at the end of the
// weights.
#ifndef FIRMWARE_LIB_KERNELS_DSP_INNER_LOOPS_H_
#define FIRMWARE_LIB_KERNELS_DSP_INNER_LOOPS_H_

#include <arm_acle.h>
#include <stdint.h>

// Copied to the stack by multiply_batches, which changes `out` there.
typedef struct {
  int32_t first_multiplier;  // SimpleRequant of the first row
  int32_t first_addend;
  int32_t first_shift;
  const int8_t* middle_of_table;
  int8_t* out;
  int32_t cout;  // bytes from one pixel's outputs to the next one's
  int32_t second_multiplier;
  int32_t second_addend;
  int32_t second_shift;
  int32_t first_bias;
  int32_t second_bias;
  const int16x2_t* weights;
  const int16x2_t* weights_end;
  int32_t first_block;  // in the loop of four: -blocks modulo 4
  const int8_t* out_end;
  int32_t next_batch;  // 3 * cout - 1
  const int16x2_t* columns;
} Batches;

// A pair of weight rows times batches of three columns, each sum requantized, looked up and stored.
// For layers that are simple; a channel whose shift is 0 gets wrong bytes. The twelve bytes behind
// the last column may be read.
void kernel_multiply_batches(const Batches* batches);

// Widens two blocks of packed weights at a time: [blocks][2][4] bytes to [blocks][2][2] words.
void kernel_widen_weights(const int8_t* weights, int16x2_t* wide, const int8_t* weights_end);

// Adds to two sums the products of packed weights and one column, two blocks at a time.
void kernel_multiply_column(const int8_t* weights, const int16x2_t* column,
                            const int16x2_t* column_end, int32_t* sums);

#endif  // FIRMWARE_LIB_KERNELS_DSP_INNER_LOOPS_H_
