// Convolutions: the columns of up to 24 pixels are widened once to int16 into scratch, then
// multiplied by pairs of weight rows. A word of four int8 is widened by SXTB16 to two pairs of
// int16, the even bytes and (rotated) the odd ones; done to weights and inputs alike the pairs
// match without reordering.
//
// Weights   [pairs][blocks][2][4]: four weights of the first row, four of the second.
#include "../gather.h"
#include "../kernels.h"
#include "identity.h"
#include "inner_loops.h"
#include "requantize.h"
#include "words.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { kBatch = 3, kMaxPixels = 24, kMaxColumnBytes = 8192 };

// Writes one pixel's column; `stride` words lie between its even and its odd pairs. Weights past
// the end of a column are zero, so what stands there only has to be readable.
ALWAYS_INLINE void widen_by(const int8_t* in, int32_t k, int16x2_t* column, int32_t stride) {
  for (; k >= 8; k -= 8, in += 8, column += 4 * stride) {
    const uint32_t word = load_word(in), next = load_word(in + 4);
    column[0] = even_bytes(word);
    column[stride] = odd_bytes(word);
    column[2 * stride] = even_bytes(next);
    column[3 * stride] = odd_bytes(next);
  }
  if (k >= 4) {
    const uint32_t word = load_word(in);
    column[0] = even_bytes(word);
    column[stride] = odd_bytes(word);
    k -= 4;
    in += 4;
    column += 2 * stride;
  }
  if (k > 0) {
    const uint32_t word = load_bytes(in, k);
    column[0] = even_bytes(word);
    column[stride] = odd_bytes(word);
  }
}

static void widen(const int8_t* in, int32_t k, int16x2_t* column, int32_t stride) {
  if (stride == kBatch) {
    widen_by(in, k, column, kBatch);
  } else {
    widen_by(in, k, column, 1);
  }
}

// What a layer's channels need: which of them the quick way may take.
typedef struct {
  const int8_t* weights;
  const Requant* requant;
  int32_t blocks;  // of a row of weights
  int32_t cout;
  int32_t quick;  // the pairs of channels go the quick way,
  int32_t slow;   // and some of their channels, or all, the slow way as well
  int16x2_t* wide_weights;
  int16x2_t* columns;
  int32_t max_pixels;  // whose columns there is room for
} Layer;

static Layer layer_of(const int8_t* weights, const Requant* requant, int32_t k, int32_t cout,
                      void* scratch) {
  const int32_t blocks = (k + 3) / 4;
  uint32_t negative = 0x80808080u;
  int32_t c = 0;
  for (; c + 4 <= cout; c += 4) negative &= load_word(requant->shift + c);
  int32_t unshifted = negative != 0x80808080u;
  for (; c < cout; ++c) unshifted |= requant->shift[c] == 0;
  int32_t max_pixels = kMaxColumnBytes / (4 * blocks) / kBatch * kBatch;
  if (max_pixels < kBatch) max_pixels = kBatch;
  if (max_pixels > kMaxPixels) max_pixels = kMaxPixels;
  return (Layer){.weights = weights,
                 .requant = requant,
                 .blocks = blocks,
                 .cout = cout,
                 .quick = requant->simple && cout > 1,
                 .slow = !requant->simple || unshifted,
                 .wide_weights = scratch,
                 .columns = (int16x2_t*)scratch + 4 * blocks,
                 .max_pixels = max_pixels};
}

// Both rows of a pair of channels.
static void widen_weights(const int8_t* weights, int32_t blocks, int16x2_t* wide) {
  const int32_t twos = blocks / 2;
  if (twos) kernel_widen_weights(weights, wide, weights + 16 * twos);
  if (blocks % 2) {
    weights += 16 * twos;
    wide += 8 * twos;
    const uint32_t first = load_weights(weights), second = load_weights(weights + 4);
    wide[0] = even_bytes(first);
    wide[1] = even_bytes(second);
    wide[2] = odd_bytes(first);
    wide[3] = odd_bytes(second);
  }
}

// One channel of `pixels` pixels whose columns have `stride` words between neighboring pairs.
static __attribute__((noinline)) void multiply_exactly(const Layer* layer, const int16x2_t* column,
                                                       int32_t pixels, int32_t stride, int32_t c,
                                                       int8_t* out) {
  const Requant* const requant = layer->requant;
  const int8_t* const weights = layer->weights + c / 2 * 8 * layer->blocks + c % 2 * 4;
  out += c;
  for (int32_t p = 0; p < pixels; ++p, out += layer->cout) {
    int32_t sum = requant->bias[c];
    for (int32_t b = 0; b < layer->blocks; ++b) {
      const uint32_t word = load_weights(weights + 8 * b);
      sum = __smlad(even_bytes(word), column[2 * b * stride + p], sum);
      sum = __smlad(odd_bytes(word), column[(2 * b + 1) * stride + p], sum);
    }
    *out = finish(rescale(sum, requant->multiplier[c], requant->shift[c]), requant->zero_point,
                  requant->table);
  }
}

// The channels that the quick way leaves out or gets wrong.
static void multiply_rest(const Layer* layer, const int16x2_t* columns, int32_t pixels,
                          int32_t stride, int8_t* out) {
  if (layer->slow) {
    for (int32_t c = 0; c < layer->cout; ++c) {
      if (layer->quick && layer->requant->shift[c] < 0) continue;
      multiply_exactly(layer, columns, pixels, stride, c, out);
    }
  }
  if (layer->cout % 2) {
    multiply_exactly(layer, columns, pixels, stride, layer->cout - 1, out);
  }
}

// All channels of batches of three pixels whose columns are widened.
static __attribute__((noinline)) void multiply_pixels(const Layer* layer, int32_t pixels,
                                                      int8_t* out) {
  const Requant* const requant = layer->requant;
  const int32_t blocks = layer->blocks, cout = layer->cout;
  const int32_t odd_zero_point = 2 * requant->zero_point + 1;
  Batches batches = {.middle_of_table = middle_of(requant->table),
                     .cout = cout,
                     .weights = layer->wide_weights,
                     .weights_end = layer->wide_weights + 4 * blocks,
                     .first_block = -blocks & 3,
                     .next_batch = kBatch * cout - 1,
                     .columns = layer->columns};
  const int8_t* weights = layer->weights;
  for (int32_t c = 0; layer->quick && c < cout - 1; c += 2, weights += 8 * blocks) {
    const SimpleRequant first =
        simple_requant(requant->multiplier[c], requant->shift[c], odd_zero_point);
    const SimpleRequant second =
        simple_requant(requant->multiplier[c + 1], requant->shift[c + 1], odd_zero_point);
    batches.first_multiplier = first.multiplier;
    batches.first_addend = first.addend;
    batches.first_shift = first.shift;
    batches.second_multiplier = second.multiplier;
    batches.second_addend = second.addend;
    batches.second_shift = second.shift;
    batches.first_bias = requant->bias[c];
    batches.second_bias = requant->bias[c + 1];
    batches.out = out + c;
    batches.out_end = out + c + pixels * cout;
    widen_weights(weights, blocks, layer->wide_weights);
    kernel_multiply_batches(&batches);
  }
  for (int32_t p = 0; p < pixels; p += kBatch) {
    multiply_rest(layer, layer->columns + p * 2 * blocks, kBatch, kBatch, out + p * cout);
  }
}

// Adds the products of a pair of weight rows and one column to `sums`.
static inline void multiply_column(const int8_t* weights, const int16x2_t* column, int32_t blocks,
                                   int32_t* sums) {
  const int32_t twos = blocks / 2;
  if (twos) kernel_multiply_column(weights, column, column + 4 * twos, sums);
  if (blocks % 2) {
    weights += 16 * twos;
    column += 4 * twos;
    const uint32_t first = load_weights(weights), second = load_weights(weights + 4);
    sums[0] = __smlad(even_bytes(first), column[0], sums[0]);
    sums[1] = __smlad(even_bytes(second), column[0], sums[1]);
    sums[0] = __smlad(odd_bytes(first), column[1], sums[0]);
    sums[1] = __smlad(odd_bytes(second), column[1], sums[1]);
  }
}

// All channels of one pixel whose column is widened.
static __attribute__((noinline)) void multiply_pixel(const Layer* layer, int8_t* out) {
  const Requant* const requant = layer->requant;
  const int8_t* const middle_of_table = middle_of(requant->table);
  const int32_t odd_zero_point = 2 * requant->zero_point + 1;
  const int32_t blocks = layer->blocks;
  const int8_t* weights = layer->weights;
  for (int32_t c = 0; layer->quick && c < layer->cout - 1; c += 2, weights += 8 * blocks) {
    int32_t sums[] = {requant->bias[c], requant->bias[c + 1]};
    multiply_column(weights, layer->columns, blocks, sums);
#pragma GCC unroll 2
    for (int32_t row = 0; row < 2; ++row) {
      const SimpleRequant simple =
          simple_requant(requant->multiplier[c + row], requant->shift[c + row], odd_zero_point);
      out[c + row] = middle_of_table[requantize_simple(sums[row], simple)];
    }
  }
  multiply_rest(layer, layer->columns, 1, 1, out);
}

// How many of `left` pixels are to be worked on together: whole batches, or one that is left over.
static int32_t next_pixels(const Layer* layer, int32_t left) {
  if (left < kBatch) return 1;
  return left < layer->max_pixels ? left / kBatch * kBatch : layer->max_pixels;
}

// Where the column of pixel p goes, and the words between its pairs.
static int16x2_t* column_of(const Layer* layer, int32_t p) {
  return layer->columns + p / kBatch * kBatch * 2 * layer->blocks + p % kBatch;
}

static void multiply_columns(const Layer* layer, int32_t pixels, int8_t* out) {
  if (pixels == 1) {
    multiply_pixel(layer, out);
  } else {
    multiply_pixels(layer, pixels, out);
  }
}

void kernel_conv1x1(const int8_t* in, int32_t pixels, int32_t cin, int32_t cout,
                    const int8_t* weights, const Requant* requant, int8_t* out, void* scratch) {
  const Layer layer = layer_of(weights, requant, cin, cout, scratch);
  while (pixels > 0) {
    const int32_t some = next_pixels(&layer, pixels);
    for (int32_t p = 0; p < some; ++p, in += cin) {
      widen(in, cin, column_of(&layer, p), some == 1 ? 1 : kBatch);
    }
    multiply_columns(&layer, some, out);
    out += some * cout;
    pixels -= some;
  }
}

void kernel_conv_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                     const Requant* requant, int8_t* out, void* scratch) {
  const int32_t k = window->kernel_height * window->kernel_width * window->in_channels;
  const Layer layer = layer_of(weights, requant, k, window->out_channels, scratch);
  int8_t* const gathered = (int8_t*)layer.wide_weights;  // until the weights are widened
  int32_t first_column = -window->pad_left;
  int32_t pixels = window->out_width;
  while (pixels > 0) {
    const int32_t some = next_pixels(&layer, pixels);
    for (int32_t p = 0; p < some; ++p, first_column += window->stride) {
      gather_column(rows, window, first_column, gathered, copy_words);
      widen(gathered, 4 * layer.blocks, column_of(&layer, p), some == 1 ? 1 : kBatch);
    }
    multiply_columns(&layer, some, out);
    out += some * layer.cout;
    pixels -= some;
  }
}
