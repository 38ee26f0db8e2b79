// Pooling, for every variant: networks do it once or twice, on few bytes.
#include "kernels.h"

typedef struct {
  int32_t top, bottom, left, right;  // taps of the window, [first, end)
} Inside;

// The taps of the window at output column x that lie inside the image.
static Inside inside(const int8_t* const* rows, const Window* window, int32_t x) {
  const int32_t column = x * window->stride - window->pad_left;
  const int32_t room = window->in_width - column;
  Inside taps = {0, window->kernel_height, column < 0 ? -column : 0,
                 room < window->kernel_width ? room : window->kernel_width};
  while (taps.top < taps.bottom && !rows[taps.top]) ++taps.top;
  while (taps.bottom > taps.top && !rows[taps.bottom - 1]) --taps.bottom;
  return taps;
}

static int8_t through(const int8_t* table, int32_t q) { return table ? table[q + 128] : (int8_t)q; }

void kernel_average_pool_row(const int8_t* const* rows, const Window* window, const int8_t* table,
                             int8_t* out) {
  const int32_t channels = window->in_channels;
  for (int32_t x = 0; x < window->out_width; ++x) {
    const Inside taps = inside(rows, window, x);
    const int32_t column = x * window->stride - window->pad_left;
    const int32_t count = (taps.bottom - taps.top) * (taps.right - taps.left);
    const int32_t half = count / 2;
    for (int32_t c = 0; c < channels; ++c) {
      int32_t sum = 0;
      for (int32_t row = taps.top; row < taps.bottom; ++row) {
        const int8_t* in = rows[row] + (column + taps.left) * channels + c;
        for (int32_t i = taps.left; i < taps.right; ++i, in += channels) sum += *in;
      }
      // C divides toward zero: half a count away from it rounds to the nearest.
      *out++ = through(table, (sum > 0 ? sum + half : sum - half) / count);
    }
  }
}

void kernel_maximum_pool_row(const int8_t* const* rows, const Window* window, const int8_t* table,
                             int8_t* out) {
  const int32_t channels = window->in_channels;
  for (int32_t x = 0; x < window->out_width; ++x) {
    const Inside taps = inside(rows, window, x);
    const int32_t column = x * window->stride - window->pad_left;
    for (int32_t c = 0; c < channels; ++c) {
      int32_t most = -128;
      for (int32_t row = taps.top; row < taps.bottom; ++row) {
        const int8_t* in = rows[row] + (column + taps.left) * channels + c;
        for (int32_t i = taps.left; i < taps.right; ++i, in += channels) {
          if (*in > most) most = *in;
        }
      }
      *out++ = through(table, most);
    }
  }
}
