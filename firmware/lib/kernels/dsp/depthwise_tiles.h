// The tiles of a depthwise convolution: two, three or six neighboring outputs of one channel after
// the other, for square windows of 3 and 5. In assembly, because six sums, five pairs of weights,
// two pairs of inputs and a pointer fill all 14 registers, so that everything else stays on the
// stack; a compiler needs half as many moves more.
#ifndef FIRMWARE_LIB_KERNELS_DSP_DEPTHWISE_TILES_H_
#define FIRMWARE_LIB_KERNELS_DSP_DEPTHWISE_TILES_H_

#include <stdint.h>

// Some of eight neighboring channels of a row, of a simple layer; a channel whose shift is not
// below 0 gets wrong bytes. Their inputs are paired as pair_rows.h says. depthwise_tiles.inc knows
// the order.
typedef struct {
  const int8_t* weights;  // of the first of the eight, like all pointers down to `sums`
  const uint32_t* pairs;  // that the first window begins with
  int8_t* out;
  const int32_t* bias;
  const int32_t* multiplier;
  const int8_t* shift;
  int32_t* sums;  // of what is written, per channel; or NULL
  const int8_t* middle_of_table;
  int32_t odd_zero_point;  // 2 * zero_point + 1
  int32_t step;            // bytes from one output to the next
  int32_t plane_bytes;     // from one pair of rows to the next
  int32_t last_row;        // bytes from `pairs` to those of the last row
  int32_t first, end;      // the channels: 0 .. 8
  int32_t tiles;           // beside each other
  uint32_t absent;         // of a window of 5: 1 the first pair of rows, 2 the last row
  uint32_t outside;        // an input outside the image, twice as int16
} Tiles;

// kernel_tile_SIZE_STRIDE_OUTPUTS
typedef void TileFunction(const Tiles* tiles);
TileFunction kernel_tile_3_1_2, kernel_tile_3_1_3, kernel_tile_3_1_6;
TileFunction kernel_tile_3_2_2, kernel_tile_3_2_3, kernel_tile_3_2_6;
TileFunction kernel_tile_5_1_2, kernel_tile_5_1_3, kernel_tile_5_1_6;
TileFunction kernel_tile_5_2_2, kernel_tile_5_2_3, kernel_tile_5_2_6;

#endif  // FIRMWARE_LIB_KERNELS_DSP_DEPTHWISE_TILES_H_
