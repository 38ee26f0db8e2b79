// One direction of the resize: which inputs an output is computed from, and with which weights.
//
// Pillow's BILINEAR is a triangle filter as wide as the shrinking factor. Its weights are
// fixed-point numbers of 22 fractional bits that sum to about 1, so an output is (sum + half)
// >> 22. The sum of bytes times weights stays below 2^31, and the result below 256, while a
// direction has at most VISION_MAX_SIDE inputs: each weight is rounded by at most a half.
#ifndef FIRMWARE_LIB_VISION_AXIS_H_
#define FIRMWARE_LIB_VISION_AXIS_H_

#include <stdbool.h>
#include <stdint.h>

enum { VISION_AXIS_BITS = 22, VISION_AXIS_HALF = 1 << (VISION_AXIS_BITS - 1) };
// Where the axis shrinks, this bit is set in the first weight of an output's last input, so the
// loop over inputs needs no second table. In a sum it can only change bit 31, and only the bits
// from VISION_AXIS_BITS to VISION_AXIS_BITS + 7 of a sum are used.
#define VISION_AXIS_LAST 0x80000000u

// A direction that shrinks (or keeps its size) is computed input by input: each input is added to
// the current output and to the next one, never to a third. A direction that grows is computed
// output by output: each output uses one or two neighboring inputs.
typedef struct {
  uint16_t from;  // inputs
  uint16_t to;    // outputs
  // shrinks: of input i, its weights in the current output and in the next one
  // grows: of output x, the weights of the input before its last and of its last
  uint32_t (*weights)[2];
  uint16_t* last;  // of output x, the last input that counts; it never falls as x rises
} VisionAxis;

static inline bool vision_axis_shrinks(const VisionAxis* axis) { return axis->from >= axis->to; }

// Bytes of weights and last; a multiple of 4.
uint32_t vision_axis_bytes(uint16_t from, uint16_t to);

// Fills an axis whose arrays lie in `memory`, aligned to 4 bytes.
void vision_axis_fill(VisionAxis* axis, uint16_t from, uint16_t to, uint32_t* memory);

#endif  // FIRMWARE_LIB_VISION_AXIS_H_
