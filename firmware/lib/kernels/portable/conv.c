// Convolutions as products of weight rows with columns of contiguous input bytes.
#include "../gather.h"
#include "../kernels.h"
#include "../requantize.h"

static int32_t dot(const int8_t* restrict a, const int8_t* restrict b, int32_t count) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

static void multiply_column(const int8_t* column, int32_t k, int32_t cout, const int8_t* weights,
                            const Requant* requant, int8_t* out) {
  for (int32_t c = 0; c < cout; ++c, weights += k) {
    const int32_t sum = wrapping_add(dot(weights, column, k), requant->bias[c]);
    out[c] = finish(rescale(sum, requant->multiplier[c], requant->shift[c]), requant->zero_point,
                    requant->table);
  }
}

void kernel_conv1x1(const int8_t* in, int32_t pixels, int32_t cin, int32_t cout,
                    const int8_t* weights, const Requant* requant, int8_t* out, void* scratch) {
  (void)scratch;
  for (int32_t p = 0; p < pixels; ++p, in += cin, out += cout) {
    multiply_column(in, cin, cout, weights, requant, out);
  }
}

void kernel_conv_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                     const Requant* requant, int8_t* out, void* scratch) {
  const int32_t k = window->kernel_height * window->kernel_width * window->in_channels;
  int32_t first_column = -window->pad_left;
  for (int32_t x = 0; x < window->out_width; ++x, first_column += window->stride) {
    gather_column(rows, window, first_column, scratch, copy_words);
    multiply_column(scratch, k, window->out_channels, weights, requant, out);
    out += window->out_channels;
  }
}
