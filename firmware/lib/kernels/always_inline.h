// For functions that get constants: each caller's copy is then compiled for its constants.
#ifndef FIRMWARE_LIB_KERNELS_ALWAYS_INLINE_H_
#define FIRMWARE_LIB_KERNELS_ALWAYS_INLINE_H_

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#endif  // FIRMWARE_LIB_KERNELS_ALWAYS_INLINE_H_
