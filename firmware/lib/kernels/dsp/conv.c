// Convolutions: the columns of some pixels are widened once to int16 into scratch, then multiplied
// by pairs of weight rows. A word of four int8 is widened by SXTB16 to two pairs of int16, the even
// bytes and (rotated) the odd ones. Weights and inputs are widened in the same way, so their pairs
// match without reordering.
//
// Weights   [pairs][blocks][2][4]: four weights of the first row, four of the second.
#include "../always_inline.h"
#include "../gather.h"
#include "../kernels.h"
#include "identity.h"
#include "inner_loops.h"
#include "requantize.h"
#include "widen.h"
#include "words.h"

enum { kBatch = 3 };

// The number of pixels whose columns scratch has room for. A row of windows gets few, because it is
// computed where activations are large.
typedef struct {
  int32_t pixels, bytes;
} Most;
static const Most kMostOfRow = {24, 8192}, kMostOfImage = {48, 10240};

// Writes one pixel's column of any depth; `stride` words lie between its even and its odd pairs.
// Weights past the end of a column are zero, so the inputs there may be anything that is readable.
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

// A layer's channels, and which computation they need.
typedef struct {
  const int8_t* weights;
  const Requant* requant;
  int32_t blocks;  // of a row of weights
  int32_t cout;
  int32_t quick;  // whether pairs of channels are computed fast,
  int32_t slow;   // and whether some channels, or all, need the exact computation
  int16x2_t* wide_weights;
  int16x2_t* columns;
  int32_t max_pixels;  // whose columns there is room for
} Layer;

static Layer layer_of(const int8_t* weights, const Requant* requant, int32_t k, int32_t cout,
                      Most most, void* scratch) {
  const int32_t blocks = (k + 3) / 4;
  uint32_t negative = 0x80808080u;
  int32_t c = 0;
  for (; c + 4 <= cout; c += 4) negative &= load_word(requant->shift + c);
  int32_t unshifted = negative != 0x80808080u;
  for (; c < cout; ++c) unshifted |= requant->shift[c] >= 0;
  int32_t max_pixels = most.bytes / (4 * blocks) / kBatch * kBatch;
  if (max_pixels < kBatch) max_pixels = kBatch;
  if (max_pixels > most.pixels) max_pixels = most.pixels;
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

// The channels that the fast computation leaves out or gets wrong.
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

static Pairs pairs_of(const Layer* layer, int32_t pixels, int8_t* out) {
  const Requant* const requant = layer->requant;
  return (Pairs){.middle_of_table = middle_of(requant->table),
                 .cout = layer->cout,
                 .multiplier = requant->multiplier,
                 .shift = requant->shift,
                 .bias = requant->bias,
                 .weights = layer->weights,
                 .odd_zero_point = 2 * requant->zero_point + 1,
                 .pairs = layer->cout / 2,
                 .out = out,
                 .out_bytes = pixels * layer->cout,
                 .wide_weights = layer->wide_weights,
                 .columns = layer->columns,
                 .blocks = layer->blocks};
}

// All channels of batches of three pixels whose columns are widened.
static void multiply_pixels(const Layer* layer, int32_t pixels, int8_t* out) {
  if (layer->quick) {
    const Pairs pairs = pairs_of(layer, pixels, out);
    if (layer->requant->table) {
      kernel_multiply_pairs_with_table(&pairs);
    } else {
      kernel_multiply_pairs(&pairs);
    }
  }
  if (!layer->slow && layer->cout % 2 == 0) return;
  for (int32_t p = 0; p < pixels; p += kBatch) {
    multiply_rest(layer, layer->columns + p * 2 * layer->blocks, kBatch, kBatch,
                  out + p * layer->cout);
  }
}

// All channels of one pixel whose column is widened.
static void multiply_pixel(const Layer* layer, int8_t* out) {
  if (layer->quick) {
    const Pairs pairs = pairs_of(layer, 1, out);
    kernel_multiply_pixel(&pairs);
  }
  multiply_rest(layer, layer->columns, 1, 1, out);
}

// How many of `left` pixels are computed together: whole batches, or a single remaining pixel.
static int32_t next_pixels(const Layer* layer, int32_t left) {
  if (left < kBatch) return 1;
  return left < layer->max_pixels ? left / kBatch * kBatch : layer->max_pixels;
}

// Where the column of pixel p is written, and the words between its pairs.
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
  const Layer layer = layer_of(weights, requant, cin, cout, kMostOfImage, scratch);
  while (pixels > 0) {
    const int32_t some = next_pixels(&layer, pixels);
    if (some > 1 && cin % 4 == 0) {
      kernel_widen_pixels(in, cin, some, layer.columns);
    } else {
      for (int32_t p = 0; p < some; ++p) {
        widen(in + p * cin, cin, column_of(&layer, p), some == 1 ? 1 : kBatch);
      }
    }
    multiply_columns(&layer, some, out);
    in += some * cin;
    out += some * cout;
    pixels -= some;
  }
}

static int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

// How many windows from the one at `column` on lie in the image and do not begin at its edge.
static int32_t windows_inside(const Window* window, int32_t column) {
  const int32_t room = window->in_width - window->kernel_width - column;
  return column < 1 || room < 0 ? 0 : room / window->stride + 1;
}

// Widens the columns of `some` windows, the first of which begins at the input's column `first`.
static void widen_windows(const Layer* layer, const int8_t* const* rows, const Window* window,
                          int32_t first, int32_t some) {
  const int32_t line = window->kernel_width * window->in_channels;
  const int32_t threes = some > 1 && line == 9 && window->in_channels == 3 &&
                         window->kernel_height == 3 && rows[0] && rows[1] && rows[2];
  int8_t* const gathered = (int8_t*)layer->wide_weights;  // until the weights are widened
  for (int32_t p = 0; p < some;) {
    const int32_t column = first + p * window->stride;
    const int32_t inside = threes ? smaller(windows_inside(window, column), some - p) : 0;
    if (inside > 0) {
      const int32_t offset = 3 * column;
      const int8_t* const lines[] = {rows[0] + offset, rows[1] + offset, rows[2] + offset};
      kernel_widen_threes(lines, 3 * window->stride, inside, column_of(layer, p),
                          kBatch - p % kBatch);
      p += inside;
      continue;
    }
    gather_column(rows, window, column, gathered, copy_words);
    if (some == 1) {
      widen(gathered, 4 * layer->blocks, layer->columns, 1);
    } else {
      kernel_widen_pixels(gathered, 4 * layer->blocks, 1, column_of(layer, p));
    }
    ++p;
  }
}

void kernel_conv_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                     const Requant* requant, int8_t* out, void* scratch) {
  const int32_t k = window->kernel_height * window->kernel_width * window->in_channels;
  const Layer layer = layer_of(weights, requant, k, window->out_channels, kMostOfRow, scratch);
  int32_t first_column = -window->pad_left;
  int32_t pixels = window->out_width;
  while (pixels > 0) {
    const int32_t some = next_pixels(&layer, pixels);
    widen_windows(&layer, rows, window, first_column, some);
    multiply_columns(&layer, some, out);
    first_column += some * window->stride;
    out += some * layer.cout;
    pixels -= some;
  }
}
