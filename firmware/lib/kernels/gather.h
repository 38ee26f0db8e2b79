// The inputs under one window of a convolution, gathered into one column in the order of its
// weights. Private to the kernels.
#ifndef FIRMWARE_LIB_KERNELS_GATHER_H_
#define FIRMWARE_LIB_KERNELS_GATHER_H_

#include <string.h>

#include "kernels.h"

// Window lines are a few bytes long: shorter than a call of memcpy is worth.
static inline void copy_short(int8_t* to, const int8_t* from, int32_t count) {
  for (; count >= 4; count -= 4, to += 4, from += 4) memcpy(to, from, 4);
  for (; count > 0; --count) *to++ = *from++;
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
