// Convolutions of shallow layers, which keep their weights in registers.
#ifndef FIRMWARE_LIB_KERNELS_HELIUM_SHALLOW_H_
#define FIRMWARE_LIB_KERNELS_HELIUM_SHALLOW_H_

#include "../kernels.h"

// For columns of up to 32 inputs, k bytes apart, and layers whose Requant.simple is 2. Returns how
// many channels were computed, from the first on; where k > 16, an odd last pixel is left out.
int32_t kernel_convolve_shallow(const int8_t* columns, int32_t pixels, int32_t k, int32_t cout,
                                const int8_t* weights, const Requant* requant, int8_t* out);

#endif  // FIRMWARE_LIB_KERNELS_HELIUM_SHALLOW_H_
