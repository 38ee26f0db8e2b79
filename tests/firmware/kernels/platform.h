// What the kernel tests need of the machine they run on: a PC or an emulated Cortex-M.
#ifndef TESTS_FIRMWARE_KERNELS_PLATFORM_H_
#define TESTS_FIRMWARE_KERNELS_PLATFORM_H_

#include <stdint.h>

// Prints one formatted line.
void print_line(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Instructions executed between start_count and its end, exact to about 40. 0 on a PC.
void start_count(void);
uint32_t end_count(void);

#endif  // TESTS_FIRMWARE_KERNELS_PLATFORM_H_
