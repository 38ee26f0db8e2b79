// Deterministic pseudo-random numbers, the same on every machine.
#ifndef TESTS_FIRMWARE_KERNELS_RANDOM_H_
#define TESTS_FIRMWARE_KERNELS_RANDOM_H_

#include <stdint.h>

void seed_random(uint32_t seed);
uint32_t random_bits(void);
int32_t random_between(int32_t low, int32_t high);  // both included
// Bytes of one of several characters, drawn anew at each call: uniform, extremes only, constant.
void random_bytes(int8_t* bytes, int32_t count, int32_t low);

#endif  // TESTS_FIRMWARE_KERNELS_RANDOM_H_
