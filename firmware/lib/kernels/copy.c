// Kernels that move bytes without changing them.
#include <string.h>

#include "kernels.h"

void kernel_copy(const int8_t* in, int32_t count, int32_t size, int32_t stride, int8_t* out) {
  for (int32_t i = 0; i < count; ++i, in += size, out += stride) memcpy(out, in, (size_t)size);
}

void kernel_pad_row(const int8_t* row, const PadParams* params, int8_t* out) {
  const int32_t width = params->in_width, channels = params->in_channels;
  memset(out, params->value, (size_t)params->out_width * params->out_channels);
  if (!row) return;
  out += params->left * params->out_channels + params->front;
  if (channels == params->out_channels) {
    kernel_copy(row, 1, width * channels, 0, out);
  } else {
    kernel_copy(row, width, channels, params->out_channels, out);
  }
}
