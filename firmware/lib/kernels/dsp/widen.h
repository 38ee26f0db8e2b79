// Columns of a convolution, widened to int16 for batches of three pixels (see inner_loops.h).
#ifndef FIRMWARE_LIB_KERNELS_DSP_WIDEN_H_
#define FIRMWARE_LIB_KERNELS_DSP_WIDEN_H_

#include <arm_acle.h>
#include <stdint.h>

// `pixels` pixels of `depth` inputs, a multiple of four, that follow each other. `column` is where
// the first pixel of a batch goes; for a single pixel, any one's.
void kernel_widen_pixels(const int8_t* in, int32_t depth, int32_t pixels, int16x2_t* column);

// Windows of three by three pixels of three channels: nine bytes from each of three lines, `step`
// bytes further for each of `pixels` outputs, the first of which has `left` left in its batch. The
// two bytes before a line are read too.
void kernel_widen_threes(const int8_t* const* lines, int32_t step, int32_t pixels,
                         int16x2_t* column, int32_t left);

#endif  // FIRMWARE_LIB_KERNELS_DSP_WIDEN_H_
