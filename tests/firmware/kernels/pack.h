// Weight packing and scratch sizes as kernels.h describes them, for the variant under test.
#ifndef TESTS_FIRMWARE_KERNELS_PACK_H_
#define TESTS_FIRMWARE_KERNELS_PACK_H_

#include <stdint.h>

#include "kernels.h"

enum { kMaxPackedBytes = 72000 };

// weights [cout][k]
void pack_rows(const int8_t* weights, int32_t cout, int32_t k, int8_t* packed);
// The same of a 1x1 convolution; requant complete
void pack_conv1x1(const int8_t* weights, int32_t cout, int32_t cin, const Requant* requant,
                  int8_t* packed);
// weights [taps][channels], taps row by row; requant complete
void pack_depthwise(const int8_t* weights, const Window* window, const Requant* requant,
                    int8_t* packed);

// What the params' `packed` points at; of the last call.
const int8_t* pack_add(const AddParams* params);
const int8_t* pack_gate(const MulParams* params);

int32_t conv1x1_scratch_bytes(int32_t cin, int32_t pixels);
int32_t conv_row_scratch_bytes(const Window* window);
int32_t depthwise_scratch_bytes(const Window* window);

#endif  // TESTS_FIRMWARE_KERNELS_PACK_H_
