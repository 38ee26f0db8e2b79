#include "reference.h"

static int64_t round_half_away(int64_t numerator, int64_t denominator) {
  const int64_t half = denominator / 2;
  return numerator >= 0 ? (numerator + half) / denominator : -((-numerator + half) / denominator);
}

static int64_t round_half_up(int64_t numerator, int64_t denominator) {
  const int64_t shifted = numerator + denominator / 2;
  const int64_t quotient = shifted / denominator;
  return quotient - (shifted % denominator < 0);
}

int32_t reference_rescale(int32_t x, int32_t multiplier, int32_t shift) {
  int32_t wrapped = x;
  for (; shift > 0; --shift) wrapped = (int32_t)((uint32_t)wrapped * 2);
  const int64_t product = round_half_up((int64_t)wrapped * multiplier, (int64_t)1 << 31);
  return (int32_t)round_half_away(product, (int64_t)1 << -shift);
}

int8_t reference_finish(int32_t rescaled, int32_t zero_point, const int8_t* table) {
  int32_t q = (int32_t)((uint32_t)rescaled + (uint32_t)zero_point);
  if (q < -128) q = -128;
  if (q > 127) q = 127;
  return table ? table[q + 128] : (int8_t)q;
}

// The input at a tap less its zero point; 0 outside the image.
static int32_t tap(const int8_t* const* rows, const Window* window, int32_t y, int32_t x,
                   int32_t channel) {
  if (!rows[y] || x < 0 || x >= window->in_width) return 0;
  return rows[y][x * window->in_channels + channel] - window->pad_value;
}

static int8_t requantized(int64_t sum, int32_t channel, const int32_t* bias,
                          const Requant* requant) {
  const int32_t wrapped = (int32_t)(uint32_t)(uint64_t)(sum + bias[channel]);
  return reference_finish(
      reference_rescale(wrapped, requant->multiplier[channel], requant->shift[channel]),
      requant->zero_point, requant->table);
}

void reference_conv_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                        const int32_t* bias, const Requant* requant, int8_t* out) {
  for (int32_t x = 0; x < window->out_width; ++x) {
    for (int32_t o = 0; o < window->out_channels; ++o) {
      int64_t sum = 0;
      int32_t w = o * window->kernel_height * window->kernel_width * window->in_channels;
      for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
        for (int32_t kx = 0; kx < window->kernel_width; ++kx) {
          for (int32_t i = 0; i < window->in_channels; ++i) {
            const int32_t column = x * window->stride - window->pad_left + kx;
            sum += (int64_t)tap(rows, window, ky, column, i) * weights[w++];
          }
        }
      }
      out[x * window->out_channels + o] = requantized(sum, o, bias, requant);
    }
  }
}

void reference_depthwise_row(const int8_t* const* rows, const Window* window, const int8_t* weights,
                             const int32_t* bias, const Requant* requant, int8_t* out) {
  for (int32_t x = 0; x < window->out_width; ++x) {
    for (int32_t c = 0; c < window->in_channels; ++c) {
      int64_t sum = 0;
      int32_t w = c;
      for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
        for (int32_t kx = 0; kx < window->kernel_width; ++kx, w += window->in_channels) {
          const int32_t column = x * window->stride - window->pad_left + kx;
          sum += (int64_t)tap(rows, window, ky, column, c) * weights[w];
        }
      }
      out[x * window->in_channels + c] = requantized(sum, c, bias, requant);
    }
  }
}
