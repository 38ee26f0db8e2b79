// vector: weights as in the .tflite, more scratch.
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
  memcpy(packed, weights,
         (size_t)(window->kernel_height * window->kernel_width * window->in_channels));
}

static int32_t columns_scratch_bytes(int32_t k, int32_t pixels) {
  const int32_t columns = ((pixels < 16 ? pixels : 16) + 3) / 4 * 4;
  return 2 * ((k + 15) / 16 * 16) * (columns + 2);
}

int32_t conv1x1_scratch_bytes(int32_t cin, int32_t pixels) {
  return columns_scratch_bytes(cin, pixels);
}

int32_t conv_row_scratch_bytes(const Window* window) {
  const int32_t k = window->kernel_height * window->kernel_width * window->in_channels;
  return columns_scratch_bytes(k, window->out_width);
}

int32_t depthwise_scratch_bytes(const Window* window) {
  (void)window;
  return 0;
}

const int8_t* pack_add(const AddParams* params) { return (void)params, NULL; }

const int8_t* pack_gate(const MulParams* params) { return (void)params, NULL; }
