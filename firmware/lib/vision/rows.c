#include "rows.h"

#include "formats.h"

// Calls `function` with a constant format, so that the compiler makes one loop for each.
#define FOR_EACH_FORMAT(format, function, ...)        \
  switch (format) {                                   \
    case VISION_RGB565_LE:                            \
      return function(VISION_RGB565_LE, __VA_ARGS__); \
    case VISION_RGB565_BE:                            \
      return function(VISION_RGB565_BE, __VA_ARGS__); \
    case VISION_RGB888:                               \
      return function(VISION_RGB888, __VA_ARGS__);    \
    case VISION_YUV422:                               \
      return function(VISION_YUV422, __VA_ARGS__);    \
    default:                                          \
      return function(VISION_GRAY, __VA_ARGS__);      \
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

void decode_row(VisionFormat format, const uint8_t* row, uint32_t left, uint32_t count,
                uint8_t* out){FOR_EACH_FORMAT(format, decode, row, left, count, out)}

// Each input is decoded once and added to the two outputs it counts for, all in registers.
VISION_INLINE void shrink(VisionFormat format, const uint8_t* row, uint32_t left,
                          const VisionAxis* axis, uint8_t* out) {
  const uint32_t(*weights)[2] = (const uint32_t(*)[2])axis->weights;
  const uint16_t* last = axis->last;
  const uint16_t* const end = last + axis->to;
  const uint32_t step = pixel_bytes(format);
  Pixel current = {AXIS_HALF, AXIS_HALF, AXIS_HALF};
  Pixel next = current;
  row += left * step;
  const uint8_t* last_pixel = row + *last * step;
  for (const uint8_t* pixels = row;; pixels += step, ++left, ++weights) {
    const Pixel pixel = pixel_at(format, pixels, left);
    const uint32_t here = (*weights)[0], after = (*weights)[1];
    current.red += pixel.red * here;
    current.green += pixel.green * here;
    current.blue += pixel.blue * here;
    next.red += pixel.red * after;
    next.green += pixel.green * after;
    next.blue += pixel.blue * after;
    if (pixels != last_pixel) continue;
    out[0] = (uint8_t)(current.red >> AXIS_BITS);
    out[1] = (uint8_t)(current.green >> AXIS_BITS);
    out[2] = (uint8_t)(current.blue >> AXIS_BITS);
    out += 3;
    if (++last == end) return;
    last_pixel = row + *last * step;
    current = next;
    next = (Pixel){AXIS_HALF, AXIS_HALF, AXIS_HALF};
  }
}

VISION_UNSCHEDULED void shrink_row(VisionFormat format, const uint8_t* row, uint32_t left,
                                   const VisionAxis* axis, uint8_t* out) {
  FOR_EACH_FORMAT(format, shrink, row, left, axis, out)
}

void grow_row(const uint8_t* row, const VisionAxis* axis, uint8_t* out) {
  for (uint32_t x = 0; x < axis->to; ++x, out += 3) {
    const uint8_t* const last = row + 3 * axis->last[x];
    const uint8_t* const before = axis->last[x] ? last - 3 : last;  // its weight is 0 there
    for (uint32_t c = 0; c < 3; ++c) {
      const uint32_t sum = before[c] * axis->weights[x][0] + last[c] * axis->weights[x][1];
      out[c] = (uint8_t)((sum + AXIS_HALF) >> AXIS_BITS);
    }
  }
}
