// Looking a byte up always, in this table when the caller gives none, costs less than asking.
#ifndef FIRMWARE_LIB_KERNELS_DSP_IDENTITY_H_
#define FIRMWARE_LIB_KERNELS_DSP_IDENTITY_H_

#include <stdint.h>

extern const int8_t kernel_identity_table[256];

#endif  // FIRMWARE_LIB_KERNELS_DSP_IDENTITY_H_
