// The inputs under one window of a convolution, gathered into one column in the order of its
// weights. Private to the kernels.
#ifndef FIRMWARE_LIB_KERNELS_GATHER_H_
#define FIRMWARE_LIB_KERNELS_GATHER_H_

#include <string.h>

#include "kernels.h"

// Window lines are a few bytes long: shorter than a call of memcpy is worth. The last word overlaps
// the one before it.
static inline void copy_short(int8_t* to, const int8_t* from, int32_t count) {
  if (count < 4) {
    for (; count > 0; --count) *to++ = *from++;
    return;
  }
  int8_t* const last = to + count - 4;
  const int8_t* const last_from = from + count - 4;
  for (; to < last; to += 4, from += 4) memcpy(to, from, 4);
  memcpy(last, last_from, 4);
}

static inline void gather_column(const int8_t* const* rows, const Window* window,
                                 int32_t first_column, int8_t* column) {
  const int32_t depth = window->in_channels;
  const int32_t line = window->kernel_width * depth;
  int32_t skip = first_column < 0 ? -first_column : 0;
  if (skip > window->kernel_width) skip = window->kernel_width;
  int32_t inside = window->in_width - first_column;
  if (inside > window->kernel_width) inside = window->kernel_width;
  inside -= skip;
  for (int32_t y = 0; y < window->kernel_height; ++y, column += line) {
    if (rows[y] && inside == window->kernel_width) {
      copy_short(column, rows[y] + first_column * depth, line);
      continue;
    }
    memset(column, window->pad_value, (size_t)line);
    if (rows[y] && inside > 0) {
      copy_short(column + skip * depth, rows[y] + (first_column + skip) * depth, inside * depth);
    }
  }
}

#endif  // FIRMWARE_LIB_KERNELS_GATHER_H_
