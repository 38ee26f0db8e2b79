// Frames on standard input → the network's inputs on standard output, through firmware/lib/vision.
// A case is 7 little-endian uint16 (format, frame width and height, input width and height, center
// crop, rows given at a time) and the frame's bytes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vision.h"

// Exact sizes from the heap: the sanitizers see one byte too many.
static void run_case(const VisionGeometry* geometry, uint32_t at_a_time) {
  const uint32_t row_bytes = vision_row_bytes(geometry->format, geometry->frame_width);
  const uint32_t scratch_bytes = vision_scratch_bytes(geometry);
  const size_t input_bytes = (size_t)geometry->width * geometry->height * 3;
  void* scratch = malloc(scratch_bytes);
  int8_t* input = malloc(input_bytes);
  uint8_t* rows = malloc((size_t)row_bytes * at_a_time);
  if (!scratch || !input || !rows) exit(2);
  memset(scratch, 0xA5, scratch_bytes);
  Vision vision;
  const char* error = vision_start(&vision, geometry, scratch, scratch_bytes - 1);
  if (!error) exit(3);  // one byte less is not enough
  error = vision_start(&vision, geometry, scratch, scratch_bytes);
  if (error) {
    fprintf(stderr, "%s\n", error);
    exit(4);
  }
  vision_begin(&vision, input);
  bool whole = false;
  for (uint32_t left = geometry->frame_height; left;) {
    const uint32_t count = left < at_a_time ? left : at_a_time;
    if (fread(rows, row_bytes, count, stdin) != count) exit(5);
    whole = vision_rows(&vision, rows, count);
    left -= count;
  }
  if (!whole) exit(6);
  fwrite(input, 1, input_bytes, stdout);
  free(rows);
  free(input);
  free(scratch);
}

int main(void) {
  uint8_t head[14];
  while (fread(head, sizeof(head), 1, stdin) == 1) {
    uint16_t field[7];
    for (int i = 0; i < 7; ++i) field[i] = (uint16_t)(head[2 * i] | head[2 * i + 1] << 8);
    const VisionGeometry geometry = {(VisionFormat)field[0], field[1], field[2], field[3], field[4],
                                     field[5] != 0};
    run_case(&geometry, field[6]);
  }
  return 0;
}
