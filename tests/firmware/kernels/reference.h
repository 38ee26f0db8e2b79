// The kernels' arithmetic from its definition, slow and plain: zero points subtracted from every
// element, coordinates tested for every tap, rounding done by division.
#ifndef TESTS_FIRMWARE_KERNELS_REFERENCE_H_
#define TESTS_FIRMWARE_KERNELS_REFERENCE_H_

#include <stdint.h>

#include "kernels.h"

// Multiplies by multiplier / 2^31 * 2^shift, rounding twice.
int32_t reference_rescale(int32_t x, int32_t multiplier, int32_t shift);

// Zero point, clamp and table.
int8_t reference_finish(int32_t rescaled, int32_t zero_point, const int8_t* table);

// One output row of a convolution with weights OHWI and a bias that has no zero point folded in.
// rows as for kernel_conv_row; requant->bias is not read.
void reference_conv_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                        const int32_t* bias, const Requant* requant, int8_t* out);

// The same for a depthwise convolution, weights HWC.
void reference_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                             const int32_t* bias, const Requant* requant, int8_t* out);

#endif  // TESTS_FIRMWARE_KERNELS_REFERENCE_H_
