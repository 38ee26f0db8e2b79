// A camera's frame becomes the network's input, row by row, with the bytes that the PC's pixels.py
// makes of the same picture: Pillow's antialiased BILINEAR resize, then pixel - 128.
//
//   geometry ──► vision_start    once: fills the tables of weights
//                vision_begin    before each frame: names the input that is written
//   rows ──────► vision_rows     any number of whole rows, in order, from the top
//
// Nothing holds a second frame: the caller's scratch has the tables and a few rows. The caller owns
// all memory, and there is no state outside `Vision` and its scratch.
#ifndef FIRMWARE_LIB_VISION_VISION_H_
#define FIRMWARE_LIB_VISION_VISION_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "axis.h"

#ifdef __cplusplus
extern "C" {
#endif

// How a frame's bytes are read. The values go over the wire (docs/PROTOCOL.md).
typedef enum {
  VISION_RGB565_LE = 0,  // 16 bits a pixel, red in the upper 5; low byte first
  VISION_RGB565_BE = 1,  // the same, high byte first: what esp32-camera delivers
  VISION_RGB888 = 2,     // red, green, blue
  VISION_GRAY = 3,       // one byte a pixel, for all three channels
  VISION_YUV422 = 4,     // Y0 U Y1 V for two pixels, BT.601, full range; the width is even
  VISION_FORMATS
} VisionFormat;

enum { VISION_MAX_SIDE = 8191 };  // of a frame and of the network's input; see axis.h

typedef struct {
  VisionFormat format;
  uint16_t frame_width;
  uint16_t frame_height;
  uint16_t width;  // of the network's input, which has three channels
  uint16_t height;
  // false: the whole frame is stretched to the input. true: the largest centered part of the frame
  // with the input's aspect ratio.
  bool center_crop;
} VisionGeometry;

// Of one byte of a row: sums of the current output row and of the next one.
typedef struct {
  uint32_t current, next;
} VisionSums;

typedef struct {
  VisionGeometry geometry;
  VisionAxis across;
  VisionAxis down;
  uint16_t left, top;        // of the part of the frame that is used
  uint16_t columns, rows;    // its size
  bool down_first;           // the order of the two passes
  uint32_t line_bytes;       // of a row between the passes
  uint8_t* line;             // that row
  uint8_t* previous;         // the one before it, where the height grows
  uint8_t* decoded;          // a row of the frame, where the width grows
  VisionSums* sums;          // of output rows, where the height shrinks
  int8_t* input;             // the network's
  uint16_t row, output_row;  // the next one of the frame, and of the output
} Vision;

// Bytes of one row of a frame.
uint32_t vision_row_bytes(VisionFormat format, uint16_t frame_width);

// What vision_start needs, in bytes, or 0 for a geometry that it refuses.
uint32_t vision_scratch_bytes(const VisionGeometry* geometry);

// `scratch` is aligned to 4 bytes. Returns null, or why it cannot be done. Uses double-precision
// arithmetic; the other functions use none.
const char* vision_start(Vision* vision, const VisionGeometry* geometry, void* scratch,
                         uint32_t scratch_bytes);

// A new frame. `input` holds height * width * 3 bytes; with the ahead-of-time engine it is
// model_input(), which running overwrites.
void vision_begin(Vision* vision, int8_t* input);

// The next `count` rows of the frame. Returns whether the input is whole; further rows do nothing.
bool vision_rows(Vision* vision, const uint8_t* rows, uint32_t count);

#ifdef __cplusplus
}
#endif

#endif  // FIRMWARE_LIB_VISION_VISION_H_
