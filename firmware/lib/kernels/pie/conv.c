// Convolutions as products of weight rows with columns of contiguous, aligned input bytes. conv.S
// computes them; here the columns are split into blocks that it can take, or gathered first. Where
// the compiler can, it gives groups of sixteen output channels of a 1x1 convolution to
// conv_lanes.S.
#include <string.h>

#include "../gather.h"
#include "../kernels.h"
#include "../requantize.h"
#include "pie.h"

typedef void ConvFunction(PieConv* conv);

#define NAME(name) name,
static ConvFunction* const kAtOnce[][6] = {{PIE_CONV_VARIANTS(NAME, )},
                                           {PIE_CONV_VARIANTS(NAME, _table)}};
static ConvFunction* const kDeep[][6] = {{PIE_CONV_VARIANTS(NAME, _deep)},
                                         {PIE_CONV_VARIANTS(NAME, _deep_table)}};

typedef void LanesFunction(PieConvLanes* conv);
static LanesFunction* const kLanesFunctions[] = {PIE_CONV_LANES_FUNCTIONS(NAME)};

// Columns of `depth` bytes, a multiple of 16, one after the other at 16-byte alignment.
typedef struct {
  int32_t depth;
  int32_t first;  // channel of those that weights are for
  int32_t channels;
  int32_t out_step;
  const int8_t* weights;
  const Requant* requant;
  void* partial;  // eight bytes for each column where depth > 96
} Product;

// For a channel that the assembly does not support: any shift, any sum.
static void multiply_any(const Product* product, int32_t channel, const int8_t* columns,
                         int32_t count, int8_t* out) {
  const Requant* const requant = product->requant;
  const int8_t* const row = product->weights + channel * product->depth;
  const int32_t c = product->first + channel;
  for (; count > 0; --count, columns += product->depth, out += product->out_step) {
    int32_t sum = requant->bias[c];
    for (int32_t i = 0; i < product->depth; ++i) sum = wrapping_add(sum, row[i] * columns[i]);
    out[channel] = finish(rescale(sum, requant->multiplier[c], requant->shift[c]),
                          requant->zero_point, requant->table);
  }
}

// The channels that the assembly leaves out or gets wrong.
static void multiply_rest(const Product* product, const int8_t* columns, int32_t count,
                          int8_t* out) {
  const Requant* const requant = product->requant;
  if (requant->simple == 2) return;
  for (int32_t c = 0; c < product->channels; ++c) {
    if (requant->simple && requant->shift[product->first + c] < 0) continue;
    multiply_any(product, c, columns, count, out);
  }
}

static void multiply_columns(const Product* product, const int8_t* columns, int32_t count,
                             int8_t* out) {
  const Requant* const requant = product->requant;
  if (!requant->simple) {
    multiply_rest(product, columns, count, out);
    return;
  }
  const int32_t depth = product->depth;
  PieConv conv = {
      .in = word_of(columns),
      .weights = word_of(product->weights),
      .out = word_of(out),
      .bias = word_of(requant->bias + product->first),
      .multiplier = word_of(requant->multiplier + product->first),
      .shift = word_of(requant->shift + product->first),
      .table = requant->table ? word_of(requant->table + 128) : 0,
      .partial = word_of(product->partial),
      .pixels = count,
      .channels = product->channels,
      .in_step = depth,
      .out_step = product->out_step,
      .weight_step = depth,
      .passes = (depth - 1) / kDeepest,
      .zero_point = requant->zero_point,
  };
  const int table = requant->table != NULL;
  const int32_t last = (depth - conv.passes * kDeepest) / kVector - 1;
  if (count == 1) {
    (table ? pie_conv_single_table : pie_conv_single)(&conv);
  } else if (conv.passes) {
    kDeep[table][last](&conv);
  } else {
    kAtOnce[table][last](&conv);
  }
  multiply_rest(product, columns, count, out);
}

static void multiply_pixels(const Product* product, const int8_t* in, int32_t pixels, int8_t* out) {
  for (; pixels > 0; pixels -= kPixelsAtOnce) {
    const int32_t count = pixels < kPixelsAtOnce ? pixels : kPixelsAtOnce;
    multiply_columns(product, in, count, out);
    in += count * product->depth;
    out += count * product->out_step;
  }
}

// Constants behind the first seven: bound, d and c31 with a gap, c39 with three digits.
static int32_t constants_of(int32_t kind) {
  return 7 + (kind - kLanes) % 2 * 3 + (kind - kLanes) / 4;
}

// Groups of sixteen output channels, in lanes or as rows; channels are multiples of sixteen.
static void multiply_groups(const int8_t* in, int32_t pixels, Product* product, int32_t eights,
                            int8_t* out) {
  const int32_t inputs = 8 * eights, lanes_bytes = kHeaderBytes + 16 * inputs + kConstantBytes;
  const int8_t* group = product->weights;
  const int32_t channels = product->channels;
  const Requant* const requant = product->requant;
  product->channels = kVector;
  for (int32_t first = 0, end; first < channels; first = end) {
    const int32_t kind = *group;
    end = first + kVector;
    if (kind < kLanes) {
      product->first = first;
      product->weights = group + kHeaderBytes;
      multiply_pixels(product, in, pixels, out + first);
      group += kHeaderBytes + kVector * product->depth;
      continue;
    }
    const int8_t* const weights = group;
    for (group += lanes_bytes; end < channels && *group == kind; group += lanes_bytes) {
      end += kVector;
    }
    PieConvLanes conv = {
        .in = word_of(in),
        .weights = word_of(weights),
        .out = word_of(out + first),
        .groups = (end - first) / kVector,
        .pixels = pixels,
        .sixteens = eights / 2,
        .eight = eights % 2,
        .out_step = channels,
        .table = requant->table ? word_of(requant->table) : 0,
        .group_step = lanes_bytes - 48,
        .back = -16 * (inputs + 4 + constants_of(kind)),
    };
    kLanesFunctions[kind - kLanes](&conv);
  }
}

void kernel_conv1x1(const int8_t* in, int32_t pixels, int32_t cin, int32_t cout,
                    const int8_t* weights, const Requant* requant, int8_t* out, void* scratch) {
  const int32_t depth = round16(cin);
  Product product = {depth, 0, cout, cout, weights + kHeaderBytes, requant, scratch};
  if (weights[0]) {
    multiply_groups(in, pixels, &product, cin / 8 - weights[1], out);
    return;
  }
  if (depth == cin && (uintptr_t)in % kVector == 0) {
    multiply_pixels(&product, in, pixels, out);
    return;
  }
  // The bytes between the pixels are multiplied by weights of zero, so they may be anything.
  int8_t* const columns = (int8_t*)scratch + kColumnsAtOnce * 8;
  while (pixels > 0) {
    const int32_t count = pixels < kColumnsAtOnce ? pixels : kColumnsAtOnce;
    for (int32_t i = 0; i < count; ++i, in += cin) memcpy(columns + i * depth, in, (size_t)cin);
    multiply_columns(&product, columns, count, out);
    out += count * cout;
    pixels -= count;
  }
}

void kernel_conv_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                     const Requant* requant, int8_t* out, void* scratch) {
  const int32_t depth = round16(window->kernel_height * window->kernel_width * window->in_channels);
  const int32_t channels = window->out_channels;
  const Product product = {depth, 0, channels, channels, weights, requant, scratch};
  int8_t* const columns = (int8_t*)scratch + kColumnsAtOnce * 8;
  int32_t first_column = -window->pad_left;
  for (int32_t x = 0; x < window->out_width;) {
    int32_t count = 0;
    for (; count < kColumnsAtOnce && x < window->out_width; ++count, ++x) {
      gather_column(rows, window, first_column, columns + count * depth, copy_words);
      first_column += window->stride;
    }
    multiply_columns(&product, columns, count, out);
    out += count * channels;
  }
}
