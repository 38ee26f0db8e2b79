// Looking a byte up always, in this table when the caller gives none, costs less than asking.
#ifndef FIRMWARE_LIB_KERNELS_DSP_IDENTITY_H_
#define FIRMWARE_LIB_KERNELS_DSP_IDENTITY_H_

#include <stdint.h>

extern const int8_t kernel_identity_table[256];

// Where the entry of 0 stands, so that a table is indexed by q itself.
static inline const int8_t* middle_of(const int8_t* table) {
  return (table ? table : kernel_identity_table) + 128;
}

#endif  // FIRMWARE_LIB_KERNELS_DSP_IDENTITY_H_
