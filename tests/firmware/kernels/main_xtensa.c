// Printing and leaving by QEMU's semihosting, around a program whose main() is called test_main().
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "counter.h"

int test_main(void);
int main(void);

enum { kExit = 1, kWrite = 4, kStandardOutput = 1 };

static void simcall(uint32_t operation, uint32_t a, uint32_t b, uint32_t c) {
  register uint32_t a2 __asm__("a2") = operation;
  register uint32_t a3 __asm__("a3") = a;
  register uint32_t a4 __asm__("a4") = b;
  register uint32_t a5 __asm__("a5") = c;
  __asm__ volatile("simcall" : "+r"(a2), "+r"(a3) : "r"(a4), "r"(a5) : "memory");
}

void print_line(const char* format, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof(line) - 1, format, arguments);
  va_end(arguments);
  strcat(line, "\n");
  simcall(kWrite, kStandardOutput, (uint32_t)(uintptr_t)line, strlen(line));
}

// Counting is the board's own affair (host_tools/mcu/xtensa.py).
void start_count(void) {}
uint32_t end_count(void) { return 0; }

int main(void) {
  simcall(kExit, (uint32_t)test_main(), 0, 0);
  return 0;
}
