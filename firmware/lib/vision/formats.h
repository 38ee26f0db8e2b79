// A camera's bytes → red, green and blue of one pixel. Private to vision.
//
// `format` is a constant wherever these are called, so that each format gets a loop of its own.
#ifndef FIRMWARE_LIB_VISION_FORMATS_H_
#define FIRMWARE_LIB_VISION_FORMATS_H_

#include <stdint.h>

#include "vision.h"

#define VISION_INLINE static inline __attribute__((always_inline))
// GCC's first scheduler moves so much of these loops ahead that they run out of registers: a third
// more instructions on a Cortex-M7.
#define VISION_UNSCHEDULED __attribute__((optimize("no-schedule-insns")))

typedef struct {
  uint32_t red, green, blue;  // 0 .. 255
} Pixel;

// 5 and 6 bits are widened by repeating their upper ones, so that white stays white.
VISION_INLINE Pixel widen_565(uint32_t value) {
  const uint32_t red = value >> 11, green = value >> 5 & 63, blue = value & 31;
  return (Pixel){red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2};
}

VISION_INLINE uint32_t clamp_to_byte(int32_t value) {
  return (uint32_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

// ITU-R BT.601 with full range (JFIF): 1.402, 0.344136, 0.714136 and 1.772 with 16 fractional bits,
// rounded to the nearest.
VISION_INLINE Pixel yuv_to_rgb(int32_t y, int32_t u, int32_t v) {
  const int32_t cb = u - 128, cr = v - 128, half = 1 << 15;
  return (Pixel){clamp_to_byte(y + ((91881 * cr + half) >> 16)),
                 clamp_to_byte(y + ((-22553 * cb - 46802 * cr + half) >> 16)),
                 clamp_to_byte(y + ((116130 * cb + half) >> 16))};
}

// Bytes from one pixel of a row to the next.
VISION_INLINE uint32_t pixel_bytes(VisionFormat format) {
  return format == VISION_RGB888 ? 3 : format == VISION_GRAY ? 1 : 2;
}

// The pixel at `bytes`, which is pixel `x` of its row.
VISION_INLINE Pixel pixel_at(VisionFormat format, const uint8_t* bytes, uint32_t x) {
  switch (format) {
    case VISION_RGB565_LE:
      return widen_565((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8);
    case VISION_RGB565_BE:
      return widen_565((uint32_t)bytes[0] << 8 | bytes[1]);
    case VISION_RGB888:
      return (Pixel){bytes[0], bytes[1], bytes[2]};
    case VISION_YUV422:  // U comes after the first Y of a pair, V after the second
      return x % 2 ? yuv_to_rgb(bytes[0], bytes[-1], bytes[1])
                   : yuv_to_rgb(bytes[0], bytes[1], bytes[3]);
    default:
      return (Pixel){bytes[0], bytes[0], bytes[0]};
  }
}

#endif  // FIRMWARE_LIB_VISION_FORMATS_H_
