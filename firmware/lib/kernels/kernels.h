// Int8 kernels of the ahead-of-time engine: one contract, variants chosen at link time.
//
//   portable/  plain C, any core
//   dsp/       Cortex-M4, M33: dual 16-bit multiply-accumulate
//   dsp_m7/    Cortex-M7: files that replace those in dsp/, for two instructions a cycle
//   vector/    PCs: plain C in an order that compilers can vectorize
//   helium/    Cortex-M55, M85: MVE vectors
//   pie/       ESP32-S3: its vector unit, in assembly
//
// A build compiles the .c files of this folder and the .c and .S files of one variant. Below, dsp
// also means dsp_m7.
//
// Every variant gives the bytes of TensorFlow Lite Micro's int8 kernels. Activations are int8,
// NHWC, channels contiguous. No kernel allocates: `scratch` is the caller's, aligned to 8 bytes,
// and its size is given per variant by the formulas below. Sizes of zero are not allowed anywhere.
// pie needs scratch, weights, and activations and sums whose channels are a multiple of 16 aligned
// to 16 bytes; other channel counts give the same bytes more slowly.
//
// What the build computes offline, the same for every variant:
//   - bias[c] has the input's zero point folded in: bias - zero_point_in * sum(weights of c).
//     Sums wrap modulo 2^32, as TensorFlow Lite Micro's do.
//   - a table replaces every pointwise function of the output: a clamp narrower than int8, a
//     hard-swish, a requantization, or a chain of them. table[q + 128] replaces q; NULL leaves q.
//
// Weights are packed for the variant and aligned to 8 bytes; see "Packing". round4(n) is n rounded
// up to a multiple of 4, round16(n) to one of 16, and every byte added by padding is zero.
#ifndef FIRMWARE_LIB_KERNELS_KERNELS_H_
#define FIRMWARE_LIB_KERNELS_KERNELS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// From an int32 accumulator of channel c to int8:
//   y = doubling_high_multiply((sum + bias[c]) << left, multiplier[c])
//   q = divide_by_power_of_two(y, right) + zero_point, clamped to [-128, 127], through the table,
// with left = max(shift[c], 0), right = max(-shift[c], 0); the product is rounded half up, the
// division half away from zero: TensorFlow Lite's double rounding.
typedef struct {
  const int32_t* bias;        // [channels]
  const int32_t* multiplier;  // [channels], 0 or in [2^30, 2^31)
  const int8_t* shift;        // [channels], -31 .. 30
  const int8_t* table;        // 256 entries or NULL
  int32_t zero_point;         // of the output, -128 .. 127
  // 1 promises for every channel whose shift is not above 0: -22 <= shift, and |sum + bias| < 2^29
  // for every input. Kernels then use a shorter computation with the same bytes where the shift is
  // below 0. (A channel whose multiplier is 0 may be given shift -1.) 2 also promises that all
  // shifts are below 0; 0 promises nothing.
  int32_t simple;
} Requant;

// One output row of a windowed kernel reads kernel_height input rows through row pointers. A NULL
// row lies outside the image; left and right of it, and there, the input is pad_value (its zero
// point).
typedef struct {
  uint16_t in_width;
  uint16_t out_width;
  uint16_t in_channels;
  uint16_t out_channels;  // equals in_channels for a depthwise kernel
  uint8_t kernel_height;
  uint8_t kernel_width;
  uint8_t stride;    // horizontal; the caller steps the rows
  uint8_t pad_left;  // columns outside the image on the left of the first window
  int8_t pad_value;
} Window;

// 1x1 convolution of `pixels` contiguous pixels; with pixels = 1 a fully connected layer.
// out must not overlap in.
// Packing   portable, vector, helium: [cout][cin], as in the .tflite.
//           dsp: pairs of output channels, [ceil(cout / 2)][round4(cin) / 4][2][4].
//           pie: 16 bytes and [cout][round16(cin)]; or 16 bytes of which the first is 1 and the
//           second 1 if the last 8 inputs have no weights and are left out, and cout / 16 groups:
//           16 bytes whose first is 1, and [16][cin]; or what a depthwise group in lanes is, with
//           the inputs in place of the taps, weights [cin][16] and two vectors of zeros behind
//           them.
// Scratch   portable, helium: 0.  pie: 0 for cin <= 96, 8 * min(pixels, 64) above; where cin is no
//           multiple of 16, 128 + min(pixels, 16) * round16(cin).  dsp: with k = round4(cin), 4 * k
//           + 2 * k * n + 16 bytes, where n, at least 3, is the least of pixels, 48 and 10240 / k.
//           vector: 2 * round16(cin) * (m + 2), where m is the lesser of round4(pixels) and 16.
void kernel_conv1x1(const int8_t* in, int32_t pixels, int32_t cin, int32_t cout,
                    const int8_t* weights, const Requant* requant, int8_t* out, void* scratch);

// General convolution, one output row of out_width * out_channels bytes. out must not overlap rows.
// Packing   as kernel_conv1x1 with cin = kernel_height * kernel_width * in_channels, the .tflite's
//           OHWI order flattened; pie: [cout][round16(cin)] alone.
// Scratch   k = kernel_height * kernel_width * in_channels. portable: round4(k) bytes.
//           pie: 128 + min(out_width, 16) * round16(k).  dsp: as kernel_conv1x1 with cin = k, and
//           n the least of out_width, 24 and 8192 / k.  vector: as kernel_conv1x1 with cin = k and
//           pixels = out_width.  helium: (k <= 64 ? 16 : 8) * round4(k)
//           bytes.
void kernel_conv_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                     const Requant* requant, int8_t* out, void* scratch);

// Depthwise convolution (depth multiplier 1), one output row of out_width * out_channels bytes. If
// sums is not NULL every output byte is added to sums[channel], for the mean of a squeeze. out must
// not overlap rows.
// Packing   portable, vector: [kernel_height][kernel_width][channels], as in the .tflite.
//           helium: [channels][round16(kernel_width * kernel_height)], column by column.
//           dsp: [channels][ceil(entries / 2)][4]. An entry is two taps: for each pair of rows 2y
//           and 2y + 1, from left to right, the taps (2y, x) and (2y + 1, x); for an odd last row
//           the taps x and x + 1 of x = 0, 2, 4 .. (0 past its end). Entries 2i and 2i + 1 share
//           the word (first of 2i, first of 2i + 1, second of 2i, second of 2i + 1).
//           pie: [ceil(channels / 16)] of 16 bytes, weights [kernel_height][kernel_width][16] and
//           256 bytes. The first byte says how the sixteen are rounded. 0: in C. 1: as words, with
//           int32 [16][4]: 4 * bias, multiplier, 1 + (2 * zero_point + 1) * 2^-shift, 1 - shift;
//           for Requant.simple, shifts < 0 and at most 31 weights. From 2 on, windows of 3x3 and
//           5x5: in lanes (tinyml/aot/lanes.py), 2 * (digits - 1) more, 1 more with a gap, the
//           second byte the last shift; behind two weights the accumulators' image, the constants
//           at the end.
// Scratch   portable: kernel_height * kernel_width * sizeof(void*) + round4(channels).  vector: 0.
//           With n(w) = (w - 1) * stride + kernel_width,
//           pie: 64 + round16(channels) + 4 * kernel_height * kernel_width, for 3x3 and 5x5 at
//           least 80 + 16 * kernel_height * n(min(out_width, 16)).
//           dsp: 16 * (floor(kernel_height / 2) * n(out_width) + kernel_height % 2 *
//           ceil(n(out_width) / 2)).  helium: 16 * kernel_height * n(min(out_width, 16)) + 32.
void kernel_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                          const Requant* requant, int8_t* out, int32_t* sums, void* scratch);

// sums[c] += the pixels' bytes of channel c.
void kernel_sum(const int8_t* in, int32_t pixels, int32_t channels, int32_t* sums);

// Mean over the pixels whose bytes were added to sums. bias is -zero_point_in * pixels, multiplier
// and shift those of TensorFlow Lite Micro's MEAN for that number of pixels.
typedef struct {
  int32_t bias;
  int32_t multiplier;
  int32_t shift;
  int32_t zero_point;
  const int8_t* table;
} MeanParams;
void kernel_mean(const int32_t* sums, int32_t channels, const MeanParams* params, int8_t* out);

// Sum of two tensors: each input less its zero point, times 2^20, rescaled to the common scale;
// then the sum rescaled to the output's. Shifts are <= 0. out may be a or b.
typedef struct {
  int32_t a_zero_point, a_multiplier, a_shift;
  int32_t b_zero_point, b_multiplier, b_shift;
  int32_t multiplier, shift, zero_point;
  const int8_t* table;
  const int8_t* packed;  // pie: tinyml/aot/pack_elementwise.py, aligned to 16 bytes, or NULL
} AddParams;
void kernel_add(const int8_t* a, const int8_t* b, int32_t count, const AddParams* params,
                int8_t* out);

// Product of two tensors, and of a tensor with one value per channel (the gate of squeeze and
// excite). out may be a or b; of kernel_mul_gate it may be in.
typedef struct {
  int32_t a_zero_point, b_zero_point;  // the gate is b
  int32_t multiplier, shift, zero_point;
  const int8_t* table;
  const int8_t* packed;  // pie, for a gate: as above
} MulParams;
void kernel_mul(const int8_t* a, const int8_t* b, int32_t count, const MulParams* params,
                int8_t* out);
void kernel_mul_gate(const int8_t* in, const int8_t* gate, int32_t pixels, int32_t channels,
                     const MulParams* params, int8_t* out);

// out[i] = table[in[i] + 128]. out may be in.
void kernel_lookup(const int8_t* in, int32_t count, const int8_t* table, int8_t* out);

// The operators below are the same for every variant.

// Average and maximum under a window, one output row of out_width * in_channels bytes. Taps outside
// the image do not count; every window has one inside. pad_value is not used.
void kernel_average_pool_row(const int8_t* const* rows, const Window* window, const int8_t* table,
                             int8_t* out);
void kernel_maximum_pool_row(const int8_t* const* rows, const Window* window, const int8_t* table,
                             int8_t* out);

// Softmax over the channels of each pixel; at most 4095 channels. exponentials[d] is exp(-scale *
// d) with 31 bits of fraction for a value d below the pixel's largest, 0 where TensorFlow Lite
// leaves it out. The output's scale is 1/256, its zero point -128.
void kernel_softmax(const int8_t* in, int32_t pixels, int32_t channels, const int32_t* exponentials,
                    int8_t* out);

// `count` stretches of `size` bytes, contiguous in `in`, `stride` bytes apart in `out`.
void kernel_copy(const int8_t* in, int32_t count, int32_t size, int32_t stride, int8_t* out);

// One output row of a padded tensor; `row` is NULL above and below the input.
typedef struct {
  uint16_t in_width, in_channels, out_width, out_channels;
  uint16_t left;   // columns before the input
  uint16_t front;  // channels before the input's
  int8_t value;
} PadParams;
void kernel_pad_row(const int8_t* row, const PadParams* params, int8_t* out);

#ifdef __cplusplus
}
#endif

#endif  // FIRMWARE_LIB_KERNELS_KERNELS_H_
