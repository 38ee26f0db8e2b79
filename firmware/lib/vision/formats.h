// A camera's bytes → red, green and blue of one pixel. Private to vision.
//
// `format` is a constant wherever these are called, so that the compiler makes one loop per format.
#ifndef FIRMWARE_LIB_VISION_FORMATS_H_
#define FIRMWARE_LIB_VISION_FORMATS_H_

#include <stdint.h>

#include "vision.h"

#define VISION_INLINE static inline __attribute__((always_inline))
// GCC would move so much of these loops ahead, or keep so many results for later, that the
// registers do not suffice: a third more instructions on a Cortex-M7. Each option was tried there.
// Clang, which calls itself GCC too, has no such attribute.
#if defined(__GNUC__) && !defined(__clang__)
#define VISION_UNSCHEDULED                                                                      \
  __attribute__((optimize("no-schedule-insns", "no-tree-ter", "no-ivopts", "no-tree-pre",       \
                          "no-tree-reassoc", "no-forward-propagate", "no-rerun-cse-after-loop", \
                          "ira-algorithm=priority")))
#else
#define VISION_UNSCHEDULED
#endif

typedef struct {
  uint32_t red, green, blue;  // 0 .. 255
} Pixel;

VISION_INLINE uint32_t clamp_to_byte(int32_t value) {
  return (uint32_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

// What U and V add to red, green and blue, with 16 fractional bits and a half for rounding.
typedef struct {
  int32_t red, green, blue;
} Chroma;

// ITU-R BT.601 with full range (JFIF): 1.402, 0.344136, 0.714136 and 1.772 with 16 fractional bits,
// rounded to the nearest; U and V are 128 above their values.
VISION_INLINE Chroma chroma_of(int32_t u, int32_t v) {
  const int32_t half = 1 << 15;
  const int32_t green = half + (22553 + 46802) * 128 - 46802 * v;
  return (Chroma){91881 * v + (half - 91881 * 128), green - 22553 * u,
                  116130 * u + (half - 116130 * 128)};
}

VISION_INLINE Pixel with_chroma(int32_t y, Chroma chroma) {
  return (Pixel){clamp_to_byte(y + (chroma.red >> 16)), clamp_to_byte(y + (chroma.green >> 16)),
                 clamp_to_byte(y + (chroma.blue >> 16))};
}

VISION_INLINE Pixel yuv_to_rgb(int32_t y, int32_t u, int32_t v) {
  return with_chroma(y, chroma_of(u, v));
}

// Red, green and blue one by one, of bytes that are not YUV. 5 and 6 bits are widened by repeating
// their upper ones, so that white stays white; RGB565's upper byte holds red and half of green.
typedef struct {
  uint32_t upper, lower;
} Halves;

VISION_INLINE Halves halves_at(VisionFormat format, const uint8_t* bytes) {
  if (format == VISION_RGB565_LE) return (Halves){bytes[1], bytes[0]};
  if (format == VISION_RGB565_BE) return (Halves){bytes[0], bytes[1]};
  return (Halves){0, 0};
}

VISION_INLINE uint32_t red_of(VisionFormat format, const uint8_t* bytes, Halves halves) {
  if (format == VISION_GRAY || format == VISION_RGB888) return bytes[0];
  return (halves.upper & 0xF8) | halves.upper >> 5;
}

VISION_INLINE uint32_t green_of(VisionFormat format, const uint8_t* bytes, Halves halves) {
  if (format == VISION_GRAY || format == VISION_RGB888) return bytes[format == VISION_RGB888];
  const uint32_t upper = halves.upper & 7;
  return upper << 5 | halves.lower >> 5 << 2 | upper >> 1;
}

VISION_INLINE uint32_t blue_of(VisionFormat format, const uint8_t* bytes, Halves halves) {
  if (format == VISION_GRAY || format == VISION_RGB888) return bytes[2 * (format == VISION_RGB888)];
  return (halves.lower & 31) << 3 | (halves.lower >> 2 & 7);
}

// Bytes from one pixel of a row to the next.
VISION_INLINE uint32_t pixel_bytes(VisionFormat format) {
  return format == VISION_RGB888 ? 3 : format == VISION_GRAY ? 1 : 2;
}

// The pixel at `bytes`, which is pixel `x` of its row.
VISION_INLINE Pixel pixel_at(VisionFormat format, const uint8_t* bytes, uint32_t x) {
  if (format == VISION_YUV422) {  // U comes after the first Y of a pair, V after the second
    return x % 2 ? yuv_to_rgb(bytes[0], bytes[-1], bytes[1])
                 : yuv_to_rgb(bytes[0], bytes[1], bytes[3]);
  }
  const Halves halves = halves_at(format, bytes);
  return (Pixel){red_of(format, bytes, halves), green_of(format, bytes, halves),
                 blue_of(format, bytes, halves)};
}

#endif  // FIRMWARE_LIB_VISION_FORMATS_H_
