// Instructions that a QVGA frame costs in each format, for inputs of 96 and 224 pixels.
#include "counter.h"
#include "vision.h"

static const struct {
  const char* name;
  VisionFormat format;
} kFormats[] = {{"rgb565le", VISION_RGB565_LE},
                {"rgb565be", VISION_RGB565_BE},
                {"rgb888", VISION_RGB888},
                {"gray", VISION_GRAY},
                {"yuv422", VISION_YUV422}};

static uint8_t frame[320 * 240 * 3];
static int8_t input[224 * 224 * 3];
static uint32_t scratch[8192];

int main(void) {
  for (uint32_t i = 0; i < sizeof(frame); ++i) frame[i] = (uint8_t)(i * 37 + i / 251 * 11);
  for (uint32_t i = 0; i < sizeof(kFormats) / sizeof(*kFormats); ++i) {
    for (uint16_t size = 96; size <= 224; size += 128) {
      const VisionGeometry geometry = {kFormats[i].format, 320, 240, size, size, false};
      Vision vision;
      start_count();
      if (vision_start(&vision, &geometry, scratch, sizeof(scratch))) return 1;
      print_line("start %s %u\t%lu", kFormats[i].name, size, (unsigned long)end_count());
      start_count();
      vision_begin(&vision, input);
      if (!vision_rows(&vision, frame, 240)) return 2;
      print_line("%s/%u\t%lu", kFormats[i].name, size, (unsigned long)end_count());
      print_line("scratch %s %u\t%lu", kFormats[i].name, size,
                 (unsigned long)vision_scratch_bytes(&geometry));
    }
  }
  return 0;
}
