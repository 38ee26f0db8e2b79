#include <stdarg.h>
#include <stdio.h>

#include "counter.h"

void print_line(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  putchar('\n');
}

void start_count(void) {}

uint32_t end_count(void) { return 0; }

void start_stack(void) {}

uint32_t end_stack(void) { return 0; }
