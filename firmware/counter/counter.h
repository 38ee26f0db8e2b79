// A program without firmware on an emulated Cortex-M: what it prints and how it counts
// instructions. bench_mcu.py and the kernels' tests are built on it.
#ifndef FIRMWARE_COUNTER_COUNTER_H_
#define FIRMWARE_COUNTER_COUNTER_H_

#include <stdint.h>

// Prints one formatted line.
void print_line(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Instructions executed between start_count and end_count, exact to about 40 and the same at every
// run. At most 5 * 10^8.
void start_count(void);
uint32_t end_count(void);

// Bytes of stack that calls between start_stack and end_stack used, of 64 KB at most.
void start_stack(void);
uint32_t end_stack(void);

#endif  // FIRMWARE_COUNTER_COUNTER_H_
