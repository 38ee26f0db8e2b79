// It costs less to look up every byte, in this table if there is no other, than to branch.
#ifndef FIRMWARE_LIB_KERNELS_DSP_IDENTITY_H_
#define FIRMWARE_LIB_KERNELS_DSP_IDENTITY_H_

#include <stdint.h>

extern const int8_t kernel_identity_table[256];

// The entry of 0, so that a table is indexed by q itself.
static inline const int8_t* middle_of(const int8_t* table) {
  return (table ? table : kernel_identity_table) + 128;
}

#endif  // FIRMWARE_LIB_KERNELS_DSP_IDENTITY_H_
