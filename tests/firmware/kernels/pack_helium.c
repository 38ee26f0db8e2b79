// helium: rows as they are in the .tflite, depthwise weights by sixteen channels.
#include <string.h>

#include "pack.h"

void pack_rows(const int8_t* weights, int32_t cout, int32_t k, int8_t* packed) {
  memcpy(packed, weights, (size_t)(cout * k));
}

void pack_depthwise(const int8_t* weights, const Window* window, const Requant* requant,
                    int8_t* packed) {
  (void)requant;
  const int32_t taps = window->kernel_height * window->kernel_width;
  const int32_t channels = window->in_channels;
  memset(packed, 0, (size_t)((channels + 15) / 16 * 16 * taps));
  for (int32_t c = 0; c < channels; ++c) {
    for (int32_t t = 0; t < taps; ++t) {
      packed[(c / 16 * taps + t) * 16 + c % 16] = weights[t * channels + c];
    }
  }
}

int depthwise_bias_is_folded(void) { return 1; }

int32_t conv1x1_scratch_bytes(int32_t cin, int32_t pixels) {
  (void)cin;
  (void)pixels;
  return 0;
}

int32_t conv_row_scratch_bytes(const Window* window) {
  const int32_t k = window->kernel_height * window->kernel_width * window->in_channels;
  return (k <= 64 ? 16 : 8) * ((k + 3) / 4 * 4);
}

int32_t depthwise_scratch_bytes(const Window* window) {
  const int32_t taps = window->kernel_height * window->kernel_width;
  return (window->in_channels + 3) / 4 * 4 + (int32_t)sizeof(void*) * taps;
}
