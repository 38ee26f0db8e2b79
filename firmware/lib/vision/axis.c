// The weights of Pillow 13's BILINEAR resize (its Resample.c), with the same double-precision
// steps: in another order the same operations would differ in the last bits.
#include "axis.h"

#include <string.h>  // memset

// Some compilers fuse a product and the sum it belongs to, which rounds once instead of twice.
static double product(double a, double b) {
  volatile double rounded = a * b;
  return rounded;
}

typedef struct {
  double center;
  double inverse_reach;
  int32_t first, end;  // inputs under the filter
} Window;

static Window window_of(int32_t output, int32_t from, int32_t to) {
  const double scale = (double)from / to;
  const double reach = scale < 1.0 ? 1.0 : scale;
  Window window = {product(output + 0.5, scale), 1.0 / reach, 0, 0};
  const double first = window.center - reach + 0.5;
  window.first = first < 0.0 ? 0 : (int32_t)first;
  window.end = (int32_t)(window.center + reach + 0.5);
  if (window.end > from) window.end = from;
  return window;
}

static double triangle(const Window* window, int32_t input) {
  const double x = product(input - window->center + 0.5, window->inverse_reach);
  const double distance = x < 0.0 ? -x : x;
  return distance < 1.0 ? 1.0 - distance : 0.0;
}

uint32_t vision_axis_bytes(uint16_t from, uint16_t to) {
  const uint32_t pairs = from >= to ? from : to;
  return pairs * 2 * (uint32_t)sizeof(uint32_t) + (to + 1u) / 2 * 4;
}

void vision_axis_fill(VisionAxis* axis, uint16_t from, uint16_t to, uint32_t* memory) {
  const uint32_t pairs = from >= to ? from : to;
  axis->from = from;
  axis->to = to;
  axis->weights = (uint32_t(*)[2])memory;
  axis->last = (uint16_t*)(memory + 2 * pairs);
  memset(memory, 0, vision_axis_bytes(from, to));
  int32_t last_before = -1;  // of the output before
  for (int32_t output = 0; output < to; ++output) {
    const Window window = window_of(output, from, to);
    double total = 0.0;
    for (int32_t i = window.first; i < window.end; ++i) total += triangle(&window, i);
    int32_t last = 0;
    for (int32_t i = window.first; i < window.end; ++i) {
      const double share = triangle(&window, i) / total;
      const uint32_t weight = (uint32_t)(0.5 + product(share, 1 << VISION_AXIS_BITS));
      if (weight == 0) continue;
      if (vision_axis_shrinks(axis)) {
        axis->weights[i][i <= last_before] = weight;
      } else {
        axis->weights[output][0] = axis->weights[output][1];
        axis->weights[output][1] = weight;
      }
      last = i;
    }
    axis->last[output] = (uint16_t)last;
    if (vision_axis_shrinks(axis)) axis->weights[last][0] |= VISION_AXIS_LAST;
    last_before = last;
  }
}
