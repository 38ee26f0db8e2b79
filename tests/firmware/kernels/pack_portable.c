// portable: weights as they are in the .tflite.
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

int32_t conv1x1_scratch_bytes(int32_t cin, int32_t pixels) {
  (void)cin;
  (void)pixels;
  return 0;
}

int32_t conv_row_scratch_bytes(const Window* window) {
  return (window->kernel_height * window->kernel_width * window->in_channels + 3) / 4 * 4;
}

int32_t depthwise_scratch_bytes(const Window* window) {
  const int32_t taps = window->kernel_height * window->kernel_width;
  return (window->in_channels + 3) / 4 * 4 + (int32_t)sizeof(void*) * taps;
}

const int8_t* pack_add(const AddParams* params) { return (void)params, NULL; }

const int8_t* pack_gate(const MulParams* params) { return (void)params, NULL; }
