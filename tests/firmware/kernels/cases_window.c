// Cases of the convolutions.
#include <stdio.h>
#include <string.h>

#include "cases.h"
#include "pack.h"
#include "random.h"
#include "reference.h"

enum { kMaxRows = 7, kMaxScratch = 80000 };

static RandomRequant random_channels;
static int8_t image[kMaxRows][kMaxImage] __attribute__((aligned(16)));
static int8_t weights[kMaxWeights];
static int8_t packed_storage[kMaxPackedBytes] __attribute__((aligned(16)));
static int8_t out_storage[kMaxImage + 2 * kGuard] __attribute__((aligned(16)));
static int8_t scratch_storage[kMaxScratch + 2 * kGuard] __attribute__((aligned(16)));
static int8_t wanted[kMaxImage];
static int32_t sums[kMaxChannels];

static const char* describe(const char* kernel, const Window* w) {
  static char text[128];
  snprintf(text, sizeof(text), "%s %dx%d stride %d pad %d: %d->%d wide, %d->%d channels, simple %d",
           kernel, w->kernel_height, w->kernel_width, w->stride, w->pad_left, w->in_width,
           w->out_width, w->in_channels, w->out_channels, (int)random_channels.requant.simple);
  return text;
}

static int overrun(const char* what, int32_t out_bytes, int32_t scratch_bytes) {
  if (buffer_intact(out_storage, out_bytes) && buffer_intact(scratch_storage, scratch_bytes)) {
    return 0;
  }
  const int8_t written = 1, untouched = 0;
  return differs(what, &written, &untouched, 1);
}

// Compares out with wanted and looks for bytes written outside.
static int check(const char* what, const int8_t* out, int32_t bytes, int32_t scratch_bytes) {
  return differs(what, out, wanted, bytes) || overrun(what, bytes, scratch_bytes);
}

static void random_rows(const Window* w, const int8_t** rows) {
  for (int32_t y = 0; y < w->kernel_height; ++y) {
    random_bytes(image[y], w->in_width * w->in_channels, -128);
    rows[y] = random_between(0, 5) ? image[y] : NULL;
  }
}

static int32_t random_channel_count(void) {
  const int32_t kind = random_between(0, 3);  // some kernels want multiples of 4 or 16
  if (kind == 3) return random_between(1, kMaxChannels / 16) * 16;
  return kind ? random_between(1, 40) : random_between(1, kMaxChannels / 4) * 4;
}

int conv1x1_case(void) {
  const int32_t cin = random_channel_count();
  int32_t cout = random_between(1, kMaxWeights / cin < 70 ? kMaxWeights / cin : 70);
  if (cout > 16 && random_between(0, 1)) cout -= cout % 16;  // as wide kernels want it
  const int32_t pixels = random_between(1, random_between(0, 1) ? 5 : 40);
  const Window w = {.in_width = (uint16_t)pixels,
                    .out_width = (uint16_t)pixels,
                    .in_channels = (uint16_t)cin,
                    .out_channels = (uint16_t)cout,
                    .kernel_height = 1,
                    .kernel_width = 1,
                    .stride = 1,
                    .pad_value = (int8_t)random_between(-128, 127)};
  const int8_t* row = image[0];
  random_bytes(image[0], pixels * cin, -128);
  random_bytes(weights, cout * cin, -127);
  const int eight = cin % 16 == 0 && random_between(0, 2) == 0;  // inputs are nobody's
  for (int32_t i = 0; eight && i < cout * cin; ++i) weights[i] *= i % cin < cin - 8;
  // Sums of small weights fit narrow accumulators.
  const int32_t halvings = random_between(0, 3), products = cin >> (2 * halvings);
  for (int32_t i = 0; i < cout * cin; ++i) weights[i] = (int8_t)(weights[i] / (1 << halvings));
  random_requant(&random_channels, cout, products ? products : 1);
  for (int32_t o = 0; o < cout; ++o) {
    int32_t weight_sum = 0;
    for (int32_t i = 0; i < cin; ++i) weight_sum += weights[o * cin + i];
    fold_bias(&random_channels, o, weight_sum, w.pad_value);
  }
  pack_conv1x1(weights, cout, cin, &random_channels.requant, packed_storage);
  reference_conv_row(&row, &w, weights, random_channels.bias, &random_channels.requant, wanted);
  const int32_t scratch_bytes = conv1x1_scratch_bytes(cin, pixels);
  int8_t* out = open_buffer(out_storage, pixels * cout);
  kernel_conv1x1(image[0], pixels, cin, cout, packed_storage, &random_channels.requant, out,
                 open_buffer(scratch_storage, scratch_bytes));
  return check(describe("conv1x1", &w), out, pixels * cout, scratch_bytes);
}

static Window random_window(int32_t in_channels, int32_t out_channels) {
  const int32_t sizes[] = {3, 5, 3, 5, 1, 2, 7};
  const int32_t size = sizes[random_between(0, 6)];
  const int32_t width = random_between(1, 20);
  const int32_t stride = random_between(1, 8) == 8 ? 3 : random_between(1, 2);
  const int32_t pad = random_between(0, size - 1);
  const int32_t right = random_between(0, size - 1);
  int32_t out_width = (width + pad + right - size) / stride + 1;
  if (width + pad + right < size) out_width = 1;
  return (Window){.in_width = (uint16_t)width,
                  .out_width = (uint16_t)out_width,
                  .in_channels = (uint16_t)in_channels,
                  .out_channels = (uint16_t)out_channels,
                  .kernel_height = (uint8_t)(random_between(0, 5) ? size : random_between(1, 6)),
                  .kernel_width = (uint8_t)size,
                  .stride = (uint8_t)stride,
                  .pad_left = (uint8_t)pad,
                  .pad_value = (int8_t)random_between(-128, 127)};
}

int conv_row_case(void) {
  const int32_t channels = random_between(0, 3) ? random_between(1, 9) : 3;  // often of an image
  const Window w = random_window(channels, random_between(1, 20));
  const int32_t k = w.kernel_height * w.kernel_width * w.in_channels;
  const int8_t* rows[kMaxRows];
  random_rows(&w, rows);
  random_bytes(weights, k * w.out_channels, -127);
  random_requant(&random_channels, w.out_channels, k);
  for (int32_t o = 0; o < w.out_channels; ++o) {
    int32_t weight_sum = 0;
    for (int32_t i = 0; i < k; ++i) weight_sum += weights[o * k + i];
    fold_bias(&random_channels, o, weight_sum, w.pad_value);
  }
  pack_rows(weights, w.out_channels, k, packed_storage);
  reference_conv_row(rows, &w, weights, random_channels.bias, &random_channels.requant, wanted);
  const int32_t out_bytes = w.out_width * w.out_channels;
  const int32_t scratch_bytes = conv_row_scratch_bytes(&w);
  int8_t* out = open_buffer(out_storage, out_bytes);
  kernel_conv_row(rows, &w, packed_storage, &random_channels.requant, out,
                  open_buffer(scratch_storage, scratch_bytes));
  return check(describe("conv_row", &w), out, out_bytes, scratch_bytes);
}

// Windows so far apart that their columns are more than the offsets of a vector can span.
static Window scattered_window(int32_t channels) {
  return (Window){.in_width = (uint16_t)random_between(660, 690),
                  .out_width = (uint16_t)random_between(15, 16),
                  .in_channels = (uint16_t)channels,
                  .out_channels = (uint16_t)channels,
                  .kernel_height = kMaxRows,
                  .kernel_width = 3,
                  .stride = 45,
                  .pad_left = 1,
                  .pad_value = (int8_t)random_between(-128, 127)};
}

int depthwise_row_case(void) {
  const int scattered = random_between(0, 49) == 0;
  const int32_t channels = scattered ? random_between(1, 20) : random_channel_count();
  const Window w = scattered ? scattered_window(channels) : random_window(channels, channels);
  const int32_t taps = w.kernel_height * w.kernel_width;
  const int8_t* rows[kMaxRows];
  random_rows(&w, rows);
  random_bytes(weights, taps * channels, -127);
  random_requant(&random_channels, channels, taps);
  for (int32_t c = 0; c < channels; ++c) {
    int32_t weight_sum = 0;
    for (int32_t t = 0; t < taps; ++t) weight_sum += weights[t * channels + c];
    fold_bias(&random_channels, c, weight_sum, w.pad_value);
    sums[c] = random_between(-1000, 1000);
  }
  pack_depthwise(weights, &w, &random_channels.requant, packed_storage);
  reference_depthwise_row(rows, &w, weights, random_channels.bias, &random_channels.requant,
                          wanted);
  const int32_t out_bytes = w.out_width * channels;
  const int32_t scratch_bytes = depthwise_scratch_bytes(&w);
  int8_t* out = open_buffer(out_storage, out_bytes);
  static int32_t with_sums[kMaxChannels] __attribute__((aligned(16)));
  memcpy(with_sums, sums, sizeof(sums));
  const int summed = random_between(0, 1);
  kernel_depthwise_row(rows, &w, packed_storage, &random_channels.requant, out,
                       summed ? with_sums : NULL, open_buffer(scratch_storage, scratch_bytes));
  const char* what = describe("depthwise_row", &w);
  if (check(what, out, out_bytes, scratch_bytes)) return 1;
  for (int32_t i = 0; summed && i < out_bytes; ++i) sums[i % channels] += wanted[i];
  return differs(what, (const int8_t*)with_sums, (const int8_t*)sums, 4 * channels);
}
