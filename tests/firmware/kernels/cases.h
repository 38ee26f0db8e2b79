// Random cases for the kernels under test, each compared byte by byte with reference.h.
#ifndef TESTS_FIRMWARE_KERNELS_CASES_H_
#define TESTS_FIRMWARE_KERNELS_CASES_H_

#include <stdint.h>

#include "kernels.h"

enum { kMaxChannels = 160, kMaxImage = 16384, kMaxWeights = 24000, kGuard = 32 };

// Per-channel requantization drawn at random; `requant` is complete but for its folded bias, which
// fold_bias computes from the weights.
typedef struct {
  int32_t bias[kMaxChannels];
  int32_t folded[kMaxChannels];
  int32_t multiplier[kMaxChannels];
  int8_t shift[kMaxChannels];
  int8_t table[256];
  Requant requant;
} RandomRequant;

void random_requant(RandomRequant* random, int32_t channels, int32_t products);
void fold_bias(RandomRequant* random, int32_t channel, int32_t weight_sum, int32_t zero_point);
void random_table(int8_t* table);

// A buffer with guard bytes on both sides: open_buffer fills it, buffer_intact looks at the guards.
int8_t* open_buffer(int8_t* storage, int32_t bytes);
int buffer_intact(const int8_t* storage, int32_t bytes);

// Prints what differs and returns 1, or 0 when nothing does.
int differs(const char* what, const int8_t* got, const int8_t* wanted, int32_t count);

// Each returns the number of failures (0 or 1) of one random case.
int conv1x1_case(void);
int conv_row_case(void);
int depthwise_row_case(void);
int add_case(void);
int mul_case(void);
int mul_gate_case(void);
int mean_case(void);
int lookup_case(void);

#endif  // TESTS_FIRMWARE_KERNELS_CASES_H_
