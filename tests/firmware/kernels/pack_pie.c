// pie: rows padded to sixteen bytes; depthwise weights by sixteen channels, with what requantizes
// them.
#include "pack_pie.h"

#include <string.h>

#include "pack.h"

enum { kWords = 1, kConstants = 256, kMostInputs = 160 };

static int32_t round16(int32_t n) { return (n + 15) / 16 * 16; }

void pack_rows(const int8_t* weights, int32_t cout, int32_t k, int8_t* packed) {
  memset(packed, 0, (size_t)(cout * round16(k)));
  for (int32_t o = 0; o < cout; ++o) memcpy(packed + o * round16(k), weights + o * k, (size_t)k);
}

// What depthwise.S wants to know of a channel, from Requant.
static void put_words(const Requant* requant, int32_t channel, int8_t* packed) {
  const int32_t exponent = -requant->shift[channel];
  const int32_t words[4] = {requant->bias[channel] * 4, requant->multiplier[channel],
                            1 + (2 * requant->zero_point + 1) * (1 << exponent), exponent + 1};
  memcpy(packed, words, sizeof(words));
}

// Weights [taps][16] with `between` vectors of zeros before the constants.
static void put_lanes(const int8_t* weights, int32_t taps, int32_t between, Lanes* lanes,
                      int8_t* at) {
  put_header(lanes, at);
  memcpy(at + kHeader, weights, 32);
  at = put_image(lanes->start, at + kHeader + 32);
  memcpy(at, weights + 32, (size_t)(16 * taps - 32));
  put_constants(lanes, at + 16 * (taps - 2 + between));
}

static int all_shifted(const Requant* requant, int32_t first) {
  int shifted = requant->simple;
  for (int32_t c = first; c < first + 16; ++c) shifted = shifted && requant->shift[c] < 0;
  return shifted;
}

static void pack_group(const Window* window, const Requant* requant, int32_t first,
                       int8_t* packed) {
  const int32_t taps = window->kernel_height * window->kernel_width;
  const int32_t size = window->kernel_width;
  int8_t* const weights = packed + kHeader;
  Lanes lanes;
  if ((size == 3 || size == 5) && window->kernel_height == size &&
      find_lanes(weights, taps, 16, requant, first, &lanes)) {
    int8_t plain[16 * 25];
    memcpy(plain, weights, (size_t)(16 * taps));
    put_lanes(plain, taps, 0, &lanes, packed);
  } else if (taps <= 31 && all_shifted(requant, first)) {
    packed[0] = kWords;
    for (int32_t c = 0; c < 16; ++c) {
      put_words(requant, first + c, weights + 16 * taps + 16 * c);
    }
  }
}

void pack_depthwise(const int8_t* weights, const Window* window, const Requant* requant,
                    int8_t* packed) {
  const int32_t taps = window->kernel_height * window->kernel_width;
  const int32_t channels = window->in_channels;
  const int32_t group = kHeader + taps * 16 + kConstants;
  memset(packed, 0, (size_t)(round16(channels) / 16 * group));
  for (int32_t c = 0; c < channels; ++c) {
    int8_t* const at = packed + c / 16 * group + kHeader;
    for (int32_t t = 0; t < taps; ++t) at[t * 16 + c % 16] = weights[t * channels + c];
  }
  if (channels % 16) return;
  for (int32_t first = 0; first < channels; first += 16) {
    pack_group(window, requant, first, packed + first / 16 * group);
  }
}

// Sixteen outputs in lanes or as rows; returns what follows.
static int8_t* pack_outputs(const int8_t* weights, int32_t cin, int32_t inputs,
                            const Requant* requant, int32_t first, int8_t* at) {
  int8_t columns[16 * kMostInputs];
  for (int32_t i = 0; i < 16 * inputs; ++i) columns[i] = weights[(first + i % 16) * cin + i / 16];
  Lanes lanes;
  if (!find_lanes(columns, inputs, 16, requant, first, &lanes)) {
    at[0] = kWords;
    pack_rows(weights + first * cin, 16, cin, at + kHeader);
    return at + kHeader + 16 * cin;
  }
  put_lanes(columns, inputs, 2, &lanes, at);
  return at + kHeader + 16 * inputs + kConstants;
}

void pack_conv1x1(const int8_t* weights, int32_t cout, int32_t cin, const Requant* requant,
                  int8_t* packed) {
  memset(packed, 0, kMaxPackedBytes);
  int any = 0;
  for (int32_t i = 0; i < cout * cin; ++i) any |= i % cin >= cin - 8 && weights[i];
  const int32_t inputs = cin - (any ? 0 : 8);
  if (cin % 16 || cout % 16 || !requant->simple || cin > kMostInputs) {
    pack_rows(weights, cout, cin, packed + kHeader);
    return;
  }
  packed[0] = 1;
  packed[1] = (int8_t)!any;
  int8_t* at = packed + kHeader;
  for (int32_t first = 0; first < cout; first += 16) {
    at = pack_outputs(weights, cin, inputs, requant, first, at);
  }
}

int32_t conv1x1_scratch_bytes(int32_t cin, int32_t pixels) {
  const int32_t depth = round16(cin);
  if (depth != cin) return 128 + depth * (pixels < 16 ? pixels : 16);
  return depth <= 96 ? 0 : 8 * (pixels < 64 ? pixels : 64);
}

int32_t conv_row_scratch_bytes(const Window* window) {
  const int32_t k = window->kernel_height * window->kernel_width * window->in_channels;
  return 128 + round16(k) * (window->out_width < 16 ? window->out_width : 16);
}

int32_t depthwise_scratch_bytes(const Window* window) {
  const int32_t height = window->kernel_height, width = window->kernel_width;
  const int32_t words = 64 + round16(window->in_channels) + 4 * height * width;
  if (height != width || (width != 3 && width != 5)) return words;
  const int32_t pixels = window->out_width < 16 ? window->out_width : 16;
  const int32_t strip = 80 + 16 * height * ((pixels - 1) * window->stride + width);
  return words > strip ? words : strip;
}
