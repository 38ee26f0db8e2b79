// Convolutions: columns and weight rows are widened to int16 and padded with zeros to whole
// vectors, then four columns are multiplied by two rows at a time. Compilers use their processor's
// multiply-and-add of pairs for the sums of int16 products.
#include <string.h>

#include "../gather.h"
#include "../kernels.h"
#include "rescale.h"

enum { kPad = 16, kMaxPixels = 16, kColumns = 4, kGroup = 64 };

typedef struct {
  int16_t* columns;  // [pixels, a multiple of kColumns][depth]
  int16_t* rows;     // [2][depth]
  int32_t depth;     // k rounded up to kPad
} Scratch;

static Scratch scratch_of(void* scratch, int32_t k) {
  const int32_t depth = (k + kPad - 1) / kPad * kPad;
  int16_t* const rows = scratch;
  return (Scratch){rows + 2 * depth, rows, depth};
}

static void widen(const int8_t* restrict from, int32_t k, int32_t depth, int16_t* restrict to) {
  for (int32_t i = 0; i < k; ++i) to[i] = from[i];
  for (int32_t i = k; i < depth; ++i) to[i] = 0;
}

static void multiply_block(const int16_t* restrict columns, const int16_t* restrict rows,
                           int32_t depth, int32_t* restrict sums) {
  const int16_t *a = columns, *b = a + depth, *c = b + depth, *d = c + depth;
  const int16_t *first = rows, *second = rows + depth;
  int32_t a0 = 0, b0 = 0, c0 = 0, d0 = 0, a1 = 0, b1 = 0, c1 = 0, d1 = 0;
  for (int32_t i = 0; i < depth / kPad * kPad; ++i) {
    a0 += a[i] * first[i];
    b0 += b[i] * first[i];
    c0 += c[i] * first[i];
    d0 += d[i] * first[i];
    a1 += a[i] * second[i];
    b1 += b[i] * second[i];
    c1 += c[i] * second[i];
    d1 += d[i] * second[i];
  }
  sums[0] = a0, sums[1] = a1;
  sums[kGroup] = b0, sums[kGroup + 1] = b1;
  sums[2 * kGroup] = c0, sums[2 * kGroup + 1] = c1;
  sums[3 * kGroup] = d0, sums[3 * kGroup + 1] = d1;
}

static int32_t dot(const int16_t* restrict a, const int16_t* restrict b, int32_t depth) {
  int32_t sum = 0;
  for (int32_t i = 0; i < depth / kPad * kPad; ++i) sum += a[i] * b[i];
  return sum;
}

// Up to kGroup channels, from `first` on, of `pixels` columns that are widened.
static void multiply_group(const Scratch* scratch, int32_t pixels, int32_t k, int32_t first,
                           int32_t count, const int8_t* weights, int32_t* sums) {
  const int32_t depth = scratch->depth;
  int32_t c = 0;
  weights += first * k;
  for (; c + 2 <= count && pixels > 1; c += 2, weights += 2 * k) {
    widen(weights, k, depth, scratch->rows);
    widen(weights + k, k, depth, scratch->rows + depth);
    for (int32_t p = 0; p < pixels; p += kColumns) {
      multiply_block(scratch->columns + p * depth, scratch->rows, depth, sums + p * kGroup + c);
    }
  }
  for (; c < count; ++c, weights += k) {
    widen(weights, k, depth, scratch->rows);
    for (int32_t p = 0; p < pixels; ++p) {
      sums[p * kGroup + c] = dot(scratch->columns + p * depth, scratch->rows, depth);
    }
  }
}

// All channels of them.
static void multiply(const Scratch* scratch, int32_t pixels, int32_t k, int32_t cout,
                     const int8_t* weights, const Requant* requant, int8_t* out) {
  int32_t sums[kMaxPixels * kGroup];
  for (int32_t first = 0; first < cout; first += kGroup) {
    const int32_t count = cout - first < kGroup ? cout - first : kGroup;
    multiply_group(scratch, pixels, k, first, count, weights, sums);
    for (int32_t p = 0; p < pixels; ++p) {
      requantize_channels(sums + p * kGroup, first, count, requant, out + p * cout + first);
    }
  }
}

void kernel_conv1x1(const int8_t* in, int32_t pixels, int32_t cin, int32_t cout,
                    const int8_t* weights, const Requant* requant, int8_t* out, void* scratch) {
  const Scratch s = scratch_of(scratch, cin);
  while (pixels > 0) {
    const int32_t some = pixels < kMaxPixels ? pixels : kMaxPixels;
    for (int32_t p = 0; p < some; ++p) widen(in + p * cin, cin, s.depth, s.columns + p * s.depth);
    multiply(&s, some, cin, cout, weights, requant, out);
    in += some * cin;
    out += some * cout;
    pixels -= some;
  }
}

void kernel_conv_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                     const Requant* requant, int8_t* out, void* scratch) {
  const int32_t k = window->kernel_height * window->kernel_width * window->in_channels;
  const Scratch s = scratch_of(scratch, k);
  int8_t* const gathered = (int8_t*)s.rows;  // until weights are widened
  int32_t first_column = -window->pad_left;
  int32_t pixels = window->out_width;
  while (pixels > 0) {
    const int32_t some = pixels < kMaxPixels ? pixels : kMaxPixels;
    for (int32_t p = 0; p < some; ++p, first_column += window->stride) {
      gather_column(rows, window, first_column, gathered, copy_words);
      widen(gathered, k, s.depth, s.columns + p * s.depth);
    }
    multiply(&s, some, k, window->out_channels, weights, requant, out);
    out += some * window->out_channels;
    pixels -= some;
  }
}
