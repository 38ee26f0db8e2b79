// Operations along one row. Private to vision.
#ifndef FIRMWARE_LIB_VISION_ROWS_H_
#define FIRMWARE_LIB_VISION_ROWS_H_

#include <stdint.h>

#include "vision.h"

// `count` pixels of a frame's row from pixel `left` on → RGB bytes.
void vision_decode_row(VisionFormat format, const uint8_t* row, uint32_t left, uint32_t count,
                       uint8_t* out);

// The pass across, of an axis that shrinks: a frame's row → RGB bytes.
void vision_shrink_row(VisionFormat format, const uint8_t* row, uint32_t left,
                       const VisionAxis* axis, uint8_t* out);

// The same of an axis that grows; `row` holds RGB bytes.
void vision_grow_row(const uint8_t* row, const VisionAxis* axis, uint8_t* out);

#endif  // FIRMWARE_LIB_VISION_ROWS_H_
