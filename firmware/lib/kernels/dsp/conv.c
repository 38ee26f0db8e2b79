// Convolutions: columns of up to three pixels are widened once to int16 into scratch, then
// multiplied by pairs of weight rows.
#include "../gather.h"
#include "../kernels.h"
#include "identity.h"
#include "multiply.h"
#include "requantize.h"

// Writes one pixel's column; `stride` words lie between its even and its odd pairs. Weights past
// the end of a column are zero, so what stands there only has to be readable.
static void widen(const int8_t* in, int32_t k, int16x2_t* column, int32_t stride) {
  for (; k >= 4; k -= 4, in += 4, column += 2 * stride) {
    const uint32_t word = load_word(in);
    column[0] = even_bytes(word);
    column[stride] = odd_bytes(word);
  }
  if (k > 0) {
    const uint32_t word = load_bytes(in, k);
    column[0] = even_bytes(word);
    column[stride] = odd_bytes(word);
  }
}

// The outputs of one channel of a layer that promises nothing.
static __attribute__((noinline)) void store_exactly(const int32_t* sums, int32_t pixels,
                                                    const Requant* requant, int32_t c, int8_t* out,
                                                    int32_t cout) {
  for (int32_t p = 0; p < pixels; ++p, out += cout) {
    *out = finish(rescale(sums[p], requant->multiplier[c], requant->shift[c]), requant->zero_point,
                  requant->table);
  }
}

// Requantises and writes the outputs of channel c. Sums are passed by value to stay in registers.
ALWAYS_INLINE void store(int32_t sum0, int32_t sum1, int32_t sum2, int32_t pixels,
                         const Requant* requant, const int8_t* middle_of_table, int32_t c,
                         int8_t* out, int32_t cout) {
  if (requant->simple) {
    const SimpleRequant simple =
        simple_requant(requant->multiplier[c], requant->shift[c], 2 * requant->zero_point + 1);
    out[0] = middle_of_table[requantize_simple(sum0, simple)];
    if (pixels > 1) out[cout] = middle_of_table[requantize_simple(sum1, simple)];
    if (pixels > 2) out[2 * cout] = middle_of_table[requantize_simple(sum2, simple)];
  } else {
    const int32_t sums[kMaxPixels] = {sum0, sum1, sum2};
    store_exactly(sums, pixels, requant, c, out, cout);
  }
}

// An odd last channel, whose weights are packed beside zeros.
static __attribute__((noinline)) void multiply_last(const int16x2_t* columns, int32_t pixels,
                                                    int32_t blocks, int32_t cout,
                                                    const int8_t* weights, const Requant* requant,
                                                    int8_t* out) {
  int32_t sums[kMaxPixels];
  for (int32_t p = 0; p < pixels; ++p) {
    const int16x2_t* column = columns + p;
    sums[p] = requant->bias[cout - 1];
    for (int32_t i = 0; i < blocks; ++i, column += 2 * pixels) {
      const uint32_t word = load_weights(weights + 8 * i);
      sums[p] = __smlad(even_bytes(word), column[0], sums[p]);
      sums[p] = __smlad(odd_bytes(word), column[pixels], sums[p]);
    }
  }
  store_exactly(sums, pixels, requant, cout - 1, out + cout - 1, cout);
}

// All output channels of `pixels` (1 to 3, a constant where this is inlined) pixels.
ALWAYS_INLINE void multiply(const int16x2_t* columns, int32_t pixels, int32_t blocks, int32_t cout,
                            const int8_t* weights, const Requant* shared_requant, int8_t* out) {
  const Requant requant = *shared_requant;  // a copy that the stores to out cannot change
  const int8_t* const middle_of_table =
      (requant.table ? requant.table : kernel_identity_table) + 128;
  for (int32_t c = 0; c < cout - 1; c += 2, weights += 8 * blocks) {
    const int32_t a = requant.bias[c], b = requant.bias[c + 1];
    int32_t sums[2][kMaxPixels] = {{a, a, a}, {b, b, b}};
    if (pixels == 1) {
      multiply_2x1(weights, columns, blocks, sums);
    } else if (pixels == 2) {
      multiply_2x2(weights, columns, blocks, sums);
    } else {
      multiply_2x3(weights, columns, blocks, sums);
    }
    store(sums[0][0], sums[0][1], sums[0][2], pixels, &requant, middle_of_table, c, out + c, cout);
    store(sums[1][0], sums[1][1], sums[1][2], pixels, &requant, middle_of_table, c + 1, out + c + 1,
          cout);
  }
  if (cout % 2) multiply_last(columns, pixels, blocks, cout, weights, shared_requant, out);
}

static __attribute__((noinline)) void multiply_one(const int16x2_t* columns, int32_t blocks,
                                                   int32_t cout, const int8_t* weights,
                                                   const Requant* requant, int8_t* out) {
  multiply(columns, 1, blocks, cout, weights, requant, out);
}

static __attribute__((noinline)) void multiply_two(const int16x2_t* columns, int32_t blocks,
                                                   int32_t cout, const int8_t* weights,
                                                   const Requant* requant, int8_t* out) {
  multiply(columns, 2, blocks, cout, weights, requant, out);
}

static __attribute__((noinline)) void multiply_three(const int16x2_t* columns, int32_t blocks,
                                                     int32_t cout, const int8_t* weights,
                                                     const Requant* requant, int8_t* out) {
  multiply(columns, 3, blocks, cout, weights, requant, out);
}

static void multiply_batch(const int16x2_t* columns, int32_t pixels, int32_t k, int32_t cout,
                           const int8_t* weights, const Requant* requant, int8_t* out) {
  const int32_t blocks = (k + 3) / 4;
  if (pixels == 1) {
    multiply_one(columns, blocks, cout, weights, requant, out);
  } else if (pixels == 2) {
    multiply_two(columns, blocks, cout, weights, requant, out);
  } else {
    multiply_three(columns, blocks, cout, weights, requant, out);
  }
}

void kernel_conv1x1(const int8_t* in, int32_t pixels, int32_t cin, int32_t cout,
                    const int8_t* weights, const Requant* requant, int8_t* out, void* scratch) {
  int16x2_t* const columns = scratch;
  while (pixels > 0) {
    const int32_t batch = pixels < kMaxPixels ? pixels : kMaxPixels;
    for (int32_t p = 0; p < batch; ++p, in += cin) widen(in, cin, columns + p, batch);
    multiply_batch(columns, batch, cin, cout, weights, requant, out);
    out += batch * cout;
    pixels -= batch;
  }
}

void kernel_conv_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                     const Requant* requant, int8_t* out, void* scratch) {
  const int32_t k = window->kernel_height * window->kernel_width * window->in_channels;
  int16x2_t* const columns = scratch;
  int8_t* const gathered = (int8_t*)(columns + kMaxPixels * ((k + 3) / 4 * 2));
  int32_t first_column = -window->pad_left;
  int32_t pixels = window->out_width;
  while (pixels > 0) {
    const int32_t batch = pixels < kMaxPixels ? pixels : kMaxPixels;
    for (int32_t p = 0; p < batch; ++p, first_column += window->stride) {
      gather_column(rows, window, first_column, gathered);
      widen(gathered, (k + 3) / 4 * 4, columns + p, batch);
    }
    multiply_batch(columns, batch, k, window->out_channels, weights, requant, out);
    out += batch * window->out_channels;
    pixels -= batch;
  }
}
