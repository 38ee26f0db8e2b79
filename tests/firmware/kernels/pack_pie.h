// What packs constants for lanes, whatever the kernel.
#ifndef TESTS_FIRMWARE_KERNELS_PACK_PIE_H_
#define TESTS_FIRMWARE_KERNELS_PACK_PIE_H_

#include <stdint.h>

#include "lanes.h"

enum { kLanes = 2, kHeader = 16 };  // the first kind of lanes; bytes before everything packed

void put_header(const Lanes* lanes, int8_t* at);
// Returns what follows.
int8_t* put_image(const int64_t* start, int8_t* at);
void put_constants(Lanes* lanes, int8_t* at);  // lanes loses its numbers

// The lowest digits of sixteen numbers to base 256 in [-128, 127]; values keep the rest.
void take_digit(int64_t* values, int64_t* digit);

#endif  // TESTS_FIRMWARE_KERNELS_PACK_PIE_H_
