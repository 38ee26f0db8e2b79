// Convolutions: columns of up to three pixels are widened once to int16 into scratch, then
// multiplied by pairs of weight rows.
#include "../gather.h"
#include "../kernels.h"
#include "identity.h"
#include "multiply.h"
#include "multiply_three.h"
#include "requantize.h"

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
  if (stride == kMaxPixels) {
    widen_by(in, k, column, kMaxPixels);
  } else {
    widen_by(in, k, column, stride);
  }
}

// One channel of one to three pixels, whatever its requantisation.
static __attribute__((noinline)) void multiply_exactly(const int8_t* weights,
                                                       const Columns* columns, int32_t pixels,
                                                       int32_t cout, int32_t c,
                                                       const Requant* requant, int8_t* out) {
  const int32_t pair_bytes = 4 * (columns->end - columns->begin) / pixels;
  out += c;
  for (int32_t p = 0; p < pixels; ++p, out += cout) {
    int32_t sum = requant->bias[c];
    const int8_t* weight = weights + c / 2 * pair_bytes + c % 2 * 4;
    const int16x2_t* column = columns->begin + p;
    for (; column < columns->end; weight += 8, column += 2 * pixels) {
      const uint32_t word = load_weights(weight);
      sum = __smlad(even_bytes(word), column[0], sum);
      sum = __smlad(odd_bytes(word), column[pixels], sum);
    }
    *out = finish(rescale(sum, requant->multiplier[c], requant->shift[c]), requant->zero_point,
                  requant->table);
  }
}

// All pairs of channels of one or two pixels (a constant where this is inlined), in a simple layer.
ALWAYS_INLINE void multiply_pairs(const Columns* columns, int32_t pixels, int32_t cout,
                                  const int8_t* weights, const Requant* requant, int8_t* out) {
  const int8_t* const middle_of_table = middle_of(requant->table);
  const int32_t odd_zero_point = 2 * requant->zero_point + 1;
  for (int32_t c = 0; c < cout - 1; c += 2) {
    int32_t sums[4];
    if (pixels == 1) {
      weights = multiply_2x1(weights, columns, requant->bias[c], requant->bias[c + 1], sums);
    } else {
      weights = multiply_2x2(weights, columns, requant->bias[c], requant->bias[c + 1], sums);
    }
#pragma GCC unroll 2
    for (int32_t row = 0; row < 2; ++row) {
      const SimpleRequant simple =
          simple_requant(requant->multiplier[c + row], requant->shift[c + row], odd_zero_point);
#pragma GCC unroll 2
      for (int32_t p = 0; p < pixels; ++p) {
        const int32_t q = requantize_simple(sums[row * pixels + p], simple);
        out[c + row + p * cout] = middle_of_table[q];
      }
    }
  }
}

static __attribute__((noinline)) void multiply_one(const Columns* columns, int32_t cout,
                                                   const int8_t* weights, const Requant* requant,
                                                   int8_t* out) {
  multiply_pairs(columns, 1, cout, weights, requant, out);
}

static __attribute__((noinline)) void multiply_two(const Columns* columns, int32_t cout,
                                                   const int8_t* weights, const Requant* requant,
                                                   int8_t* out) {
  multiply_pairs(columns, 2, cout, weights, requant, out);
}

static Three three_of(const Columns* columns, int32_t cout, const int8_t* weights,
                      const Requant* requant, int8_t* out) {
  const int32_t blocks = (columns->end - columns->begin) / (2 * kMaxPixels);
  return (Three){.multiplier = requant->multiplier,
                 .shift = requant->shift,
                 .out = out,
                 .cout = cout,
                 .middle_of_table = middle_of(requant->table),
                 .odd_zero_point = 2 * requant->zero_point + 1,
                 .columns = columns->begin,
                 .bias = requant->bias,
                 .columns_end = columns->end,
                 .out_end = out + (cout & ~1),
                 .weights = weights,
                 .first_block = -blocks & 3};
}

// What a layer's channels need: which of them the quick way may take.
typedef struct {
  const int8_t* weights;
  const Requant* requant;
  int32_t k;
  int32_t cout;
  int32_t quick;  // the pairs of channels go the quick way,
  int32_t slow;   // and some of their channels, or all, the slow way as well
} Layer;

static Layer layer_of(const int8_t* weights, const Requant* requant, int32_t k, int32_t cout) {
  uint32_t negative = 0x80808080u;
  int32_t c = 0;
  for (; c + 4 <= cout; c += 4) negative &= load_word(requant->shift + c);
  int32_t unshifted = negative != 0x80808080u;
  for (; c < cout; ++c) unshifted |= requant->shift[c] == 0;
  return (Layer){
      weights, requant, k, cout, requant->simple && cout > 1, !requant->simple || unshifted};
}

// All channels of a batch of one to three pixels whose columns are widened.
static void multiply_batch(const Layer* layer, const int16x2_t* begin, int32_t pixels,
                           int8_t* out) {
  const Columns columns = columns_of(begin, layer->k, pixels);
  const Requant* const requant = layer->requant;
  const int32_t cout = layer->cout;
  if (layer->quick && pixels == 3) {
    const Three three = three_of(&columns, cout, layer->weights, requant, out);
    multiply_three(&three);
  } else if (layer->quick && pixels == 2) {
    multiply_two(&columns, cout, layer->weights, requant, out);
  } else if (layer->quick) {
    multiply_one(&columns, cout, layer->weights, requant, out);
  }
  if (layer->slow) {
    for (int32_t c = 0; c < cout; ++c) {
      if (layer->quick && requant->shift[c] < 0) continue;
      multiply_exactly(layer->weights, &columns, pixels, cout, c, requant, out);
    }
  }
  if (cout % 2) {
    multiply_exactly(layer->weights, &columns, pixels, cout, cout - 1, requant, out);
  }
}

void kernel_conv1x1(const int8_t* in, int32_t pixels, int32_t cin, int32_t cout,
                    const int8_t* weights, const Requant* requant, int8_t* out, void* scratch) {
  const Layer layer = layer_of(weights, requant, cin, cout);
  int16x2_t* const columns = scratch;
  while (pixels > 0) {
    const int32_t batch = pixels < kMaxPixels ? pixels : kMaxPixels;
    for (int32_t p = 0; p < batch; ++p, in += cin) widen(in, cin, columns + p, batch);
    multiply_batch(&layer, columns, batch, out);
    out += batch * cout;
    pixels -= batch;
  }
}

void kernel_conv_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                     const Requant* requant, int8_t* out, void* scratch) {
  const int32_t k = window->kernel_height * window->kernel_width * window->in_channels;
  const int32_t padded = (k + 3) / 4 * 4;
  const Layer layer = layer_of(weights, requant, k, window->out_channels);
  int16x2_t* const columns = scratch;
  int8_t* const gathered = (int8_t*)(columns + kMaxPixels * padded / 2);
  int32_t first_column = -window->pad_left;
  int32_t pixels = window->out_width;
  while (pixels > 0) {
    const int32_t batch = pixels < kMaxPixels ? pixels : kMaxPixels;
    for (int32_t p = 0; p < batch; ++p, first_column += window->stride) {
      gather_column(rows, window, first_column, gathered, copy_words);
      widen(gathered, padded, columns + p, batch);
    }
    multiply_batch(&layer, columns, batch, out);
    out += batch * layer.cout;
    pixels -= batch;
  }
}
