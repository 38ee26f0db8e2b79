// dsp: rows in pairs, four weights of each in turn.
#include <stddef.h>
#include <string.h>

#include "pack.h"

static int32_t round4(int32_t n) { return (n + 3) / 4 * 4; }

void pack_rows(const int8_t* weights, int32_t cout, int32_t k, int8_t* packed) {
  memset(packed, 0, (size_t)((cout + 1) / 2 * 2 * round4(k)));
  for (int32_t o = 0; o < cout; ++o) {
    for (int32_t i = 0; i < k; ++i) {
      packed[(o / 2 * round4(k) / 4 + i / 4) * 8 + o % 2 * 4 + i % 4] = weights[o * k + i];
    }
  }
}

// Two taps of one channel, put where kernels.h wants entry number `entry`.
static void put_entry(int8_t* packed, int32_t entry, int8_t first, int8_t second) {
  packed[entry / 2 * 4 + entry % 2] = first;
  packed[entry / 2 * 4 + entry % 2 + 2] = second;
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
  const int32_t channels = window->in_channels;
  const int32_t entries = height / 2 * width + height % 2 * ((width + 1) / 2);
  const int32_t bytes = (entries + 1) / 2 * 4;
  memset(packed, 0, (size_t)(channels * bytes));
  for (int32_t c = 0; c < channels; ++c, packed += bytes) {
    int32_t entry = 0;
    for (int32_t y = 0; y < height; y += 2) {
      const int32_t paired = y + 1 < height;
      for (int32_t x = 0; x < width; x += paired ? 1 : 2, ++entry) {
        const int8_t first = weights[(y * width + x) * channels + c];
        int8_t second = 0;
        if (paired) second = weights[((y + 1) * width + x) * channels + c];
        if (!paired && x + 1 < width) second = weights[(y * width + x + 1) * channels + c];
        put_entry(packed, entry, first, second);
      }
    }
  }
}

static int32_t columns_scratch_bytes(int32_t k, int32_t pixels, int32_t most, int32_t bytes) {
  int32_t columns = pixels < most ? pixels : most;
  if (columns > bytes / k) columns = bytes / k;
  if (columns < 3) columns = 3;
  return 4 * k + 2 * k * columns + 16;
}

int32_t conv1x1_scratch_bytes(int32_t cin, int32_t pixels) {
  return columns_scratch_bytes(round4(cin), pixels, 48, 10240);
}

int32_t conv_row_scratch_bytes(const Window* window) {
  const int32_t k = window->kernel_height * window->kernel_width * window->in_channels;
  return columns_scratch_bytes(round4(k), window->out_width, 24, 8192);
}

int32_t depthwise_scratch_bytes(const Window* window) {
  const int32_t height = window->kernel_height;
  const int32_t columns = (window->out_width - 1) * window->stride + window->kernel_width;
  return 16 * (height / 2 * columns + height % 2 * ((columns + 1) / 2));
}

const int8_t* pack_add(const AddParams* params) { return (void)params, NULL; }

const int8_t* pack_gate(const MulParams* params) { return (void)params, NULL; }
