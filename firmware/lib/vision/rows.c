#include "rows.h"

#include "formats.h"

// Calls `function` with a constant format, so that the compiler makes one loop for each.
#define FOR_EACH_FORMAT(format, function, ...) \
  switch (format) {                            \
    case VISION_RGB565_LE:                     \
      function(VISION_RGB565_LE, __VA_ARGS__); \
      break;                                   \
    case VISION_RGB565_BE:                     \
      function(VISION_RGB565_BE, __VA_ARGS__); \
      break;                                   \
    case VISION_RGB888:                        \
      function(VISION_RGB888, __VA_ARGS__);    \
      break;                                   \
    case VISION_YUV422:                        \
      function(VISION_YUV422, __VA_ARGS__);    \
      break;                                   \
    default:                                   \
      function(VISION_GRAY, __VA_ARGS__);      \
  }

VISION_INLINE void decode(VisionFormat format, const uint8_t* row, uint32_t left, uint32_t count,
                          uint8_t* out) {
  const uint32_t step = pixel_bytes(format);
  row += left * step;
  for (uint32_t x = left; x < left + count; ++x, row += step, out += 3) {
    const Pixel pixel = pixel_at(format, row, x);
    out[0] = (uint8_t)pixel.red;
    out[1] = (uint8_t)pixel.green;
    out[2] = (uint8_t)pixel.blue;
  }
}

void vision_decode_row(VisionFormat format, const uint8_t* row, uint32_t left, uint32_t count,
                       uint8_t* out) {
  FOR_EACH_FORMAT(format, decode, row, left, count, out)
}

// One channel's sums of the current output and of the next one.
typedef struct {
  uint32_t current, next;
} ChannelSums;

VISION_INLINE void count(ChannelSums* sums, uint32_t value, uint32_t here, uint32_t after) {
  sums->current += value * here;
  sums->next += value * after;
}

// The current output is complete; the next one becomes the current one.
VISION_INLINE uint8_t finish(ChannelSums* sums) {
  const uint8_t value = (uint8_t)(sums->current >> VISION_AXIS_BITS);
  sums->current = sums->next;
  sums->next = VISION_AXIS_HALF;
  return value;
}

#define NO_SUMS \
  { VISION_AXIS_HALF, VISION_AXIS_HALF }

// Each input is decoded once and added to its two outputs, all in registers; channel by channel,
// because there are few registers.
VISION_INLINE void shrink(VisionFormat format, const uint8_t* row, uint32_t left,
                          const VisionAxis* axis, uint8_t* out) {
  const uint32_t(*weights)[2] = (const uint32_t(*)[2])axis->weights;
  const uint8_t* const end = out + 3 * axis->to;
  const uint32_t step = pixel_bytes(format);
  ChannelSums red = NO_SUMS, green = NO_SUMS, blue = NO_SUMS;
  for (row += left * step; out != end; row += step, ++weights) {
    const uint32_t here = (*weights)[0], after = (*weights)[1];
    const Halves halves = halves_at(format, row);
    count(&red, red_of(format, row, halves), here, after);
    count(&green, green_of(format, row, halves), here, after);
    count(&blue, blue_of(format, row, halves), here, after);
    if (!(here & VISION_AXIS_LAST)) continue;
    out[0] = finish(&red);
    out[1] = finish(&green);
    out[2] = finish(&blue);
    out += 3;
  }
}

#define COUNT_YUV(luma, here, after)                                      \
  count(&red, clamp_to_byte(luma + (chroma.red >> 16)), here, after);     \
  count(&green, clamp_to_byte(luma + (chroma.green >> 16)), here, after); \
  count(&blue, clamp_to_byte(luma + (chroma.blue >> 16)), here, after)

#define FINISH_YUV         \
  out[0] = finish(&red);   \
  out[1] = finish(&green); \
  out[2] = finish(&blue);  \
  out += 3

// Y0 U Y1 V: what U and V add to a pixel's luma is computed once for the two pixels that share
// them.
VISION_INLINE void shrink_yuv422(const uint8_t* row, uint32_t left, const VisionAxis* axis,
                                 uint8_t* out) {
  const uint32_t* weights = &axis->weights[0][0];
  const uint8_t* const end = out + 3 * axis->to;
  ChannelSums red = NO_SUMS, green = NO_SUMS, blue = NO_SUMS;
  row += 2 * left;
  if (left % 2) {
    const Chroma chroma = chroma_of(row[-1], row[1]);
    const uint32_t here = weights[0], after = weights[1];
    COUNT_YUV(row[0], here, after);
    if (here & VISION_AXIS_LAST) {
      FINISH_YUV;
      if (out == end) return;
    }
    row += 2;
    weights += 2;
  }
  for (;; row += 4, weights += 4) {
    const Chroma chroma = chroma_of(row[1], row[3]);
    const int32_t luma = row[0];
    const uint32_t here = weights[0], after = weights[1];
    COUNT_YUV(luma, here, after);
    if (here & VISION_AXIS_LAST) {
      FINISH_YUV;
      if (out == end) return;
    }
    const int32_t second_luma = row[2];
    const uint32_t second_here = weights[2], second_after = weights[3];
    COUNT_YUV(second_luma, second_here, second_after);
    if (second_here & VISION_AXIS_LAST) {
      FINISH_YUV;
      if (out == end) return;
    }
  }
}

VISION_UNSCHEDULED void vision_shrink_row(VisionFormat format, const uint8_t* row, uint32_t left,
                                          const VisionAxis* axis, uint8_t* out) {
  if (format == VISION_YUV422) {
    shrink_yuv422(row, left, axis, out);
    return;
  }
  FOR_EACH_FORMAT(format, shrink, row, left, axis, out)
}

void vision_grow_row(const uint8_t* row, const VisionAxis* axis, uint8_t* out) {
  for (uint32_t x = 0; x < axis->to; ++x, out += 3) {
    const uint8_t* const last = row + 3 * axis->last[x];
    const uint8_t* const before = axis->last[x] ? last - 3 : last;  // its weight is 0 there
    for (uint32_t c = 0; c < 3; ++c) {
      const uint32_t sum = before[c] * axis->weights[x][0] + last[c] * axis->weights[x][1];
      out[c] = (uint8_t)((sum + VISION_AXIS_HALF) >> VISION_AXIS_BITS);
    }
  }
}
