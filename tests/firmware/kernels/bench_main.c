// Counts instructions of each kernel over the layers of MobileNetV3-Small at 96 x 96, called row by
// row as generated code calls them. A layer's line: its calls, instructions, and instructions per
// multiply-accumulate (per output byte for element-wise kernels).
#include <stddef.h>

#include "cases.h"
#include "counter.h"
#include "pack.h"
#include "random.h"

enum { kChannels = 1024, kScratch = 65536 };

static int8_t input[5][24 * 96 * 8];
static int8_t weights[600 * 1024] __attribute__((aligned(8)));
static int8_t output[24 * 1024];
static int32_t scratch[kScratch / 4] __attribute__((aligned(8)));
static int32_t bias[kChannels], multiplier[kChannels], sums[kChannels];
static int8_t shift[kChannels], table[256];
static double total_instructions, total_macs;

static Requant requant(int with_table) {
  for (int32_t c = 0; c < kChannels; ++c) {
    bias[c] = random_between(-999, 999);
    multiplier[c] = random_between(1 << 30, INT32_MAX);
    shift[c] = -9;
  }
  return (Requant){bias, multiplier, shift, with_table ? table : NULL, -3, 1};
}

static void report(const char* kernel, int32_t calls, uint32_t per_call, int32_t units_per_call,
                   const Window* w) {
  print_line(
      "%-10s %4d -> %4d  %2d wide %dx%d  %3d calls %9lu  %3lu.%03lu per unit", kernel,
      w->in_channels, w->out_channels, w->out_width, w->kernel_height, w->kernel_width, (int)calls,
      (unsigned long)per_call * (unsigned long)calls,
      (unsigned long)(per_call / (uint32_t)units_per_call),
      (unsigned long)(per_call % (uint32_t)units_per_call * 1000ull / (uint32_t)units_per_call));
  total_instructions += (double)per_call * calls;
}

static void bench_conv1x1(int32_t calls, int32_t pixels, int32_t cin, int32_t cout, int table_on) {
  const Requant r = requant(table_on);
  const Window w = {
      (uint16_t)pixels, (uint16_t)pixels, (uint16_t)cin, (uint16_t)cout, 1, 1, 1, 0, 0};
  start_count();
  kernel_conv1x1(input[0], pixels, cin, cout, weights, &r, output, scratch);
  report("conv1x1", calls, end_count(), pixels * cin * cout, &w);
  total_macs += (double)calls * pixels * cin * cout;
}

static void bench_window(int32_t calls, int32_t width, int32_t out_width, int32_t cin, int32_t cout,
                         uint8_t size, int depthwise) {
  const Requant r = requant(1);
  const uint8_t stride = out_width < width ? 2 : 1;
  const Window w = {.in_width = (uint16_t)width,
                    .out_width = (uint16_t)out_width,
                    .in_channels = (uint16_t)cin,
                    .out_channels = (uint16_t)cout,
                    .kernel_height = size,
                    .kernel_width = size,
                    .stride = stride,
                    .pad_left = (uint8_t)((size - stride) / 2)};
  const int8_t* rows[] = {input[0], input[1], input[2], input[3], input[4]};
  const int32_t macs = out_width * size * size * cout * (depthwise ? 1 : cin);
  start_count();
  if (depthwise) {
    kernel_depthwise_row(rows, &w, weights, &r, output, sums, scratch);
  } else {
    kernel_conv_row(rows, &w, weights, &r, output, scratch);
  }
  report(depthwise ? "depthwise" : "conv", calls, end_count(), macs, &w);
  total_macs += (double)calls * macs;
}

static void bench_elementwise(int32_t count) {
  const Window w = {.in_channels = (uint16_t)count, .out_width = 1};
  const AddParams add = {3, 1 << 30, 0, -4, 1500000000, -1, 1400000000, -19, 5, NULL, NULL};
  const MulParams mul = {3, -128, 1500000000, -8, 5, NULL, NULL};
  const MeanParams mean = {100, 1500000000, -7, 5, NULL};
  start_count();
  kernel_add(input[0], input[1], count, &add, output);
  report("add", 1, end_count(), count, &w);
  start_count();
  kernel_mul(input[0], input[1], count, &mul, output);
  report("mul", 1, end_count(), count, &w);
  start_count();
  kernel_mul_gate(input[0], input[1], 6, count / 6, &mul, output);
  report("mul_gate", 1, end_count(), count, &w);
  start_count();
  kernel_sum(input[0], 6, count / 6, sums);
  report("sum", 1, end_count(), count, &w);
  start_count();
  kernel_mean(sums, count / 6, &mean, output);
  report("mean", 1, end_count(), count / 6, &w);
  start_count();
  kernel_lookup(input[0], count, table, output);
  report("lookup", 1, end_count(), count, &w);
}

static void bench_squeeze(int32_t calls, int32_t channels, int32_t squeezed) {
  bench_conv1x1(calls, 1, channels, squeezed, 0);
  bench_conv1x1(calls, 1, squeezed, channels, 0);
}

int main(void) {
  bench_window(48, 96, 48, 3, 16, 3, 0);
  bench_window(24, 48, 24, 16, 16, 3, 1);
  bench_squeeze(1, 16, 8);
  bench_conv1x1(24, 24, 16, 16, 0);
  bench_conv1x1(24, 24, 16, 72, 1);
  bench_window(12, 24, 12, 72, 72, 3, 1);
  bench_conv1x1(12, 12, 72, 24, 0);
  bench_conv1x1(12, 12, 24, 88, 1);
  bench_window(12, 12, 12, 88, 88, 3, 1);
  bench_conv1x1(12, 12, 88, 24, 0);
  bench_conv1x1(12, 12, 24, 96, 1);
  bench_window(6, 12, 6, 96, 96, 5, 1);
  bench_squeeze(1, 96, 24);
  bench_conv1x1(6, 6, 96, 40, 0);
  bench_conv1x1(12, 6, 40, 240, 1);
  bench_window(12, 6, 6, 240, 240, 5, 1);
  bench_squeeze(2, 240, 64);
  bench_conv1x1(12, 6, 240, 40, 0);
  bench_conv1x1(6, 6, 40, 120, 1);
  bench_window(6, 6, 6, 120, 120, 5, 1);
  bench_squeeze(1, 120, 32);
  bench_conv1x1(6, 6, 120, 48, 0);
  bench_conv1x1(6, 6, 48, 144, 1);
  bench_window(6, 6, 6, 144, 144, 5, 1);
  bench_squeeze(1, 144, 40);
  bench_conv1x1(6, 6, 144, 48, 0);
  bench_conv1x1(6, 6, 48, 288, 1);
  bench_window(3, 6, 3, 288, 288, 5, 1);
  bench_squeeze(1, 288, 72);
  bench_conv1x1(3, 3, 288, 96, 0);
  bench_conv1x1(6, 3, 96, 576, 1);
  bench_window(6, 3, 3, 576, 576, 5, 1);
  bench_squeeze(2, 576, 144);
  bench_conv1x1(6, 3, 576, 96, 0);
  bench_conv1x1(3, 3, 96, 576, 1);
  bench_conv1x1(1, 1, 576, 1024, 1);
  bench_conv1x1(1, 1, 1024, 10, 0);
  print_line("convolutions of the model: %lu instructions, %lu MACs",
             (unsigned long)total_instructions, (unsigned long)total_macs);
  bench_elementwise(1440);
  return 0;
}
