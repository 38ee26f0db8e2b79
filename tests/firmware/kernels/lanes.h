// The constants that lanes.S rounds sixteen channels with: tinyml/aot/lanes.py in plain C.
#ifndef TESTS_FIRMWARE_KERNELS_LANES_H_
#define TESTS_FIRMWARE_KERNELS_LANES_H_

#include <stdint.h>

#include "kernels.h"

typedef struct {
  int32_t digits, shift, gap;  // gap: whether any channel has one
  int64_t start[16], m[16], c[16], c31[16], c39[16], bound[16], d[16];
} Lanes;

// weights[t * step + lane]; the channels are first .. first + 15 of requant. Returns 0 if there are
// no such constants.
int find_lanes(const int8_t* weights, int32_t taps, int32_t step, const Requant* requant,
               int32_t first, Lanes* lanes);

// The same for sums between two numbers, all lanes alike, that get as far as extent from the start
// on their way.
int find_equal_lanes(int64_t lowest, int64_t highest, int64_t extent, int32_t multiplier,
                     int32_t shift, int32_t zero_point, Lanes* lanes);

#endif  // TESTS_FIRMWARE_KERNELS_LANES_H_
