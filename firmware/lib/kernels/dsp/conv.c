// Convolutions: columns of up to three pixels are widened once to int16 into scratch, then
// multiplied by pairs of weight rows.
#include "../gather.h"
#include "../kernels.h"
#include "identity.h"
#include "multiply.h"
#include "requantize.h"

enum { kMaxPixels = 3 };

// Writes one pixel's column; `stride` words lie between its even and its odd pairs. Weights past
// the end of a column are zero, so what stands there only has to be readable.
static void widen(const int8_t* in, int32_t k, int16x2_t* column, int32_t stride) {
  for (; k >= 4; k -= 4, in += 4, column += 2 * stride) {
    const uint32_t word = load_word(in);
    column[0] = even_bytes(word);
    column[stride] = odd_bytes(word);
  }
  if (k > 0) {
    uint32_t word = 0;
    memcpy(&word, in, (size_t)k);
    column[0] = even_bytes(word);
    column[stride] = odd_bytes(word);
  }
}

// The outputs of one channel at up to three pixels.
static inline void store(const int32_t* sums, int32_t pixels, const Requant* requant, int32_t c,
                         int8_t* out, int32_t cout) {
  const int32_t multiplier = requant->multiplier[c];
  const int32_t shift = requant->shift[c];
  if (requant->simple) {
    const SimpleRequant simple = simple_requant(multiplier, shift, 2 * requant->zero_point + 1);
    for (int32_t p = 0; p < pixels; ++p, out += cout) {
      *out = requant->table[requantize_simple(sums[p], simple) + 128];
    }
  } else {
    for (int32_t p = 0; p < pixels; ++p, out += cout) {
      *out = finish(rescale(sums[p], multiplier, shift), requant->zero_point, requant->table);
    }
  }
}

// All output channels of `pixels` (1 to 3, a constant where this is inlined) pixels.
static inline __attribute__((always_inline)) void multiply(const int16x2_t* columns, int32_t pixels,
                                                           int32_t blocks, int32_t cout,
                                                           const int8_t* weights,
                                                           const Requant* shared_requant,
                                                           int8_t* out) {
  Requant requant = *shared_requant;  // a copy that the stores to out cannot change
  if (!requant.table) requant.table = kernel_identity_table;
  for (int32_t c = 0; c < cout; c += 2, weights += 8 * blocks) {
    const int32_t second = c + 1 < cout ? c + 1 : c;
    int32_t sums[2 * kMaxPixels];
    for (int32_t p = 0; p < pixels; ++p) {
      sums[p] = requant.bias[c];
      sums[pixels + p] = requant.bias[second];
    }
    if (pixels == 1) {
      multiply_2x1(weights, columns, blocks, sums);
    } else if (pixels == 2) {
      multiply_2x2(weights, columns, blocks, sums);
    } else {
      multiply_2x3(weights, columns, blocks, sums);
    }
    store(sums, pixels, &requant, c, out + c, cout);
    if (second > c) store(sums + pixels, pixels, &requant, second, out + second, cout);
  }
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
      widen(gathered, k, columns + p, batch);
    }
    multiply_batch(columns, batch, k, window->out_channels, weights, requant, out);
    out += batch * window->out_channels;
    pixels -= batch;
  }
}
