// Convolutions: columns of up to three pixels are widened once to int16 into scratch, then
// multiplied by pairs of weight rows.
#include "../gather.h"
#include "../kernels.h"
#include "identity.h"
#include "multiply.h"
#include "requantize.h"

// Writes one pixel's column; `stride` words lie between its even and its odd pairs. Weights past
// the end of a column are zero, so what stands there only has to be readable.
ALWAYS_INLINE void widen_by(const int8_t* in, int32_t k, int16x2_t* column, int32_t stride) {
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

static void widen(const int8_t* in, int32_t k, int16x2_t* column, int32_t stride) {
  if (stride == kMaxPixels) {
    widen_by(in, k, column, kMaxPixels);
  } else {
    widen_by(in, k, column, stride);
  }
}

// What all pairs of channels share. `simple` and what follows it serve layers that are.
typedef struct {
  const int16x2_t* columns;
  Blocks blocks;
  int32_t cout;
  const Requant* requant;
  const int32_t* bias;
  int32_t simple;
  const int32_t* multiplier;
  const int8_t* shift;
  int32_t odd_zero_point;         // 2 * zero_point + 1
  const int8_t* middle_of_table;  // the entry of 0
} Layer;

// The outputs of channel c of a layer that promises nothing.
static __attribute__((noinline)) void store_exactly(const int32_t* sums, int32_t pixels,
                                                    const Layer* layer, int32_t c, int8_t* out) {
  const Requant* const requant = layer->requant;
  for (int32_t p = 0; p < pixels; ++p, out += layer->cout) {
    *out = finish(rescale(sums[p], requant->multiplier[c], requant->shift[c]), requant->zero_point,
                  requant->table);
  }
}

// The outputs of channels c and c + 1. What the layer says is read before the first store, which
// the compiler must take for one that could change it.
ALWAYS_INLINE void store_simple(int32_t sums[2][kMaxPixels], int32_t pixels, const Layer* layer,
                                int32_t c, int8_t* out) {
  const int32_t* const multiplier = layer->multiplier + c;
  const int8_t* const shift = layer->shift + c;
  const SimpleRequant a = simple_requant(multiplier[0], shift[0], layer->odd_zero_point);
  const SimpleRequant b = simple_requant(multiplier[1], shift[1], layer->odd_zero_point);
  const int8_t* const table = layer->middle_of_table;
  const int32_t cout = layer->cout;
#pragma GCC unroll 3
  for (int32_t p = 0; p < pixels; ++p, out += cout) {
    out[0] = table[requantize_simple(sums[0][p], a)];
    out[1] = table[requantize_simple(sums[1][p], b)];
  }
}

// Channels c and c + 1 of `pixels` (1 to 3, a constant where this is inlined) pixels.
ALWAYS_INLINE void multiply_pair(const Layer* layer, const int8_t* weights, int32_t c, int8_t* out,
                                 int32_t pixels) {
  const int32_t a = layer->bias[c], b = layer->bias[c + 1];
  int32_t sums[2][kMaxPixels] = {{a, a, a}, {b, b, b}};
  if (pixels == 1) {
    multiply_2x1(weights, layer->columns, layer->blocks, sums);
  } else if (pixels == 2) {
    multiply_2x2(weights, layer->columns, layer->blocks, sums);
  } else {
    multiply_2x3(weights, layer->columns, layer->blocks, sums);
  }
  const int32_t both_shifts = layer->shift[c] & layer->shift[c + 1];
  if (layer->simple && both_shifts < 0) {
    store_simple(sums, pixels, layer, c, out);
  } else {
    const int32_t first[] = {sums[0][0], sums[0][1], sums[0][2]};
    const int32_t second[] = {sums[1][0], sums[1][1], sums[1][2]};
    store_exactly(first, pixels, layer, c, out);
    store_exactly(second, pixels, layer, c + 1, out + 1);
  }
}

// Functions of their own: one push saves what the loop around them would spill word by word.
typedef void Pair(const Layer* layer, const int8_t* weights, int32_t c, int8_t* out);

static void multiply_pair_1(const Layer* layer, const int8_t* weights, int32_t c, int8_t* out) {
  multiply_pair(layer, weights, c, out, 1);
}

static void multiply_pair_2(const Layer* layer, const int8_t* weights, int32_t c, int8_t* out) {
  multiply_pair(layer, weights, c, out, 2);
}

static void multiply_pair_3(const Layer* layer, const int8_t* weights, int32_t c, int8_t* out) {
  multiply_pair(layer, weights, c, out, 3);
}

// An odd last channel, whose weights are packed beside zeros.
static __attribute__((noinline)) void multiply_last(const Layer* layer, const int8_t* weights,
                                                    int32_t pixels, int8_t* out) {
  int32_t sums[kMaxPixels];
  for (int32_t p = 0; p < pixels; ++p) {
    const int16x2_t* column = layer->columns + p;
    sums[p] = layer->bias[layer->cout - 1];
    for (int32_t i = 0; i < layer->blocks.bytes; i += 8, column += 2 * pixels) {
      const uint32_t word = load_weights(weights + i);
      sums[p] = __smlad(even_bytes(word), column[0], sums[p]);
      sums[p] = __smlad(odd_bytes(word), column[pixels], sums[p]);
    }
  }
  store_exactly(sums, pixels, layer, layer->cout - 1, out);
}

// All output channels of one to three pixels whose columns are widened.
static void multiply_columns(const Layer* layer, int32_t pixels, const int8_t* weights,
                             int8_t* out) {
  static Pair* const pairs[] = {multiply_pair_1, multiply_pair_2, multiply_pair_3};
  Pair* const multiply = pairs[pixels - 1];
  const int32_t weight_bytes = layer->blocks.bytes;
  int32_t c = 0;
  for (; c < layer->cout - 1; c += 2, weights += weight_bytes) {
    multiply(layer, weights, c, out + c);
  }
  if (c < layer->cout) multiply_last(layer, weights, pixels, out + c);
}

static Layer layer_of(const int16x2_t* columns, int32_t k, int32_t cout, const Requant* requant) {
  return (Layer){.columns = columns,
                 .blocks = blocks_of(k),
                 .bias = requant->bias,
                 .cout = cout,
                 .requant = requant,
                 .simple = requant->simple,
                 .multiplier = requant->multiplier,
                 .shift = requant->shift,
                 .odd_zero_point = 2 * requant->zero_point + 1,
                 .middle_of_table = middle_of(requant->table)};
}

void kernel_conv1x1(const int8_t* in, int32_t pixels, int32_t cin, int32_t cout,
                    const int8_t* weights, const Requant* requant, int8_t* out, void* scratch) {
  int16x2_t* const columns = scratch;
  const Layer layer = layer_of(columns, cin, cout, requant);
  while (pixels > 0) {
    const int32_t batch = pixels < kMaxPixels ? pixels : kMaxPixels;
    for (int32_t p = 0; p < batch; ++p, in += cin) widen(in, cin, columns + p, batch);
    multiply_columns(&layer, batch, weights, out);
    out += batch * cout;
    pixels -= batch;
  }
}

void kernel_conv_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                     const Requant* requant, int8_t* out, void* scratch) {
  const int32_t k = window->kernel_height * window->kernel_width * window->in_channels;
  int16x2_t* const columns = scratch;
  const Layer layer = layer_of(columns, k, window->out_channels, requant);
  int8_t* const gathered = (int8_t*)(columns + kMaxPixels * layer.blocks.bytes / 4);
  int32_t first_column = -window->pad_left;
  int32_t pixels = window->out_width;
  while (pixels > 0) {
    const int32_t batch = pixels < kMaxPixels ? pixels : kMaxPixels;
    for (int32_t p = 0; p < batch; ++p, first_column += window->stride) {
      gather_column(rows, window, first_column, gathered, copy_words);
      widen(gathered, layer.blocks.bytes / 2, columns + p, batch);
    }
    multiply_columns(&layer, batch, weights, out);
    out += batch * layer.cout;
    pixels -= batch;
  }
}
