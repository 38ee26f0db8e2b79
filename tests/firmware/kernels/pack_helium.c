// helium: rows as they are in the .tflite, depthwise weights by channels and columns.
#include <stddef.h>
#include <string.h>

#include "pack.h"

void pack_rows(const int8_t* weights, int32_t cout, int32_t k, int8_t* packed) {
  memcpy(packed, weights, (size_t)(cout * k));
}

void pack_conv1x1(const int8_t* weights, int32_t cout, int32_t cin, const Requant* requant,
                  int8_t* packed) {
  (void)requant;
  pack_rows(weights, cout, cin, packed);
}

void pack_depthwise(const int8_t* weights, const Window* window, const Requant* requant,
                    int8_t* packed) {
  (void)requant;
  const int32_t height = window->kernel_height, width = window->kernel_width;
  const int32_t channels = window->in_channels, bytes = (height * width + 15) / 16 * 16;
  memset(packed, 0, (size_t)(channels * bytes));
  for (int32_t c = 0; c < channels; ++c, packed += bytes) {
    for (int32_t x = 0; x < width; ++x) {
      for (int32_t y = 0; y < height; ++y) {
        packed[x * height + y] = weights[(y * width + x) * channels + c];
      }
    }
  }
}

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
  const int32_t outputs = window->out_width < 16 ? window->out_width : 16;
  const int32_t columns = (outputs - 1) * window->stride + window->kernel_width;
  return 16 * window->kernel_height * columns + 32;
}

const int8_t* pack_add(const AddParams* params) { return (void)params, NULL; }

const int8_t* pack_gate(const MulParams* params) { return (void)params, NULL; }
