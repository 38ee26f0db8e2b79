// The inputs under one window of a convolution, gathered into one column in the order of its
// weights. Private to the kernels.
#ifndef FIRMWARE_LIB_KERNELS_GATHER_H_
#define FIRMWARE_LIB_KERNELS_GATHER_H_

#include <string.h>

#include "always_inline.h"
#include "kernels.h"

// How a variant copies the bytes of a window's line: they are too few for a call of memcpy.
typedef void CopyLine(int8_t* to, const int8_t* from, int32_t count);

// By words, the last of which overlaps the one before it.
static inline void copy_words(int8_t* to, const int8_t* from, int32_t count) {
  if (count == 9) {  // three pixels of three colors: what most networks begin with
    memcpy(to, from, 9);
    return;
  }
  if (count < 4) {
    for (; count > 0; --count) *to++ = *from++;
    return;
  }
  int8_t* const last = to + count - 4;
  const int8_t* const last_from = from + count - 4;
  for (; to < last; to += 4, from += 4) memcpy(to, from, 4);
  memcpy(last, last_from, 4);
}

// For a window that reaches over the left or the right edge.
static __attribute__((noinline)) void gather_at_edge(const int8_t* const* rows,
                                                     const Window* window, int32_t first_column,
                                                     int8_t* column) {
  const int32_t depth = window->in_channels;
  for (int32_t y = 0; y < window->kernel_height; ++y) {
    for (int32_t x = first_column; x < first_column + window->kernel_width; ++x, column += depth) {
      if (rows[y] && x >= 0 && x < window->in_width) {
        memcpy(column, rows[y] + x * depth, (size_t)depth);
      } else {
        memset(column, window->pad_value, (size_t)depth);
      }
    }
  }
}

ALWAYS_INLINE void gather_column(const int8_t* const* rows, const Window* window,
                                 int32_t first_column, int8_t* column, CopyLine* copy) {
  if (first_column < 0 || first_column + window->kernel_width > window->in_width) {
    gather_at_edge(rows, window, first_column, column);
    return;
  }
  const int32_t offset = first_column * window->in_channels;
  const int32_t line = window->kernel_width * window->in_channels;
  for (int32_t y = window->kernel_height; y > 0; --y, column += line, ++rows) {
    if (*rows) {
      copy(column, *rows + offset, line);
    } else {
      memset(column, window->pad_value, (size_t)line);
    }
  }
}

#endif  // FIRMWARE_LIB_KERNELS_GATHER_H_
