// The assembly functions of this variant and their arguments. All fields are 32-bit words, as a
// pointer on the ESP32-S3 is. Private to the variant.
#ifndef FIRMWARE_LIB_KERNELS_PIE_PIE_H_
#define FIRMWARE_LIB_KERNELS_PIE_PIE_H_

#include <stdint.h>

#include "../kernels.h"

enum { kVector = 16, kDeepest = 6 * kVector, kPixelsAtOnce = 64, kColumnsAtOnce = 16 };

// Of what is packed for sixteen channels.
enum { kHeaderBytes = 16, kConstantBytes = 256 };

// How sixteen outputs are rounded; from kLanes on 2 * (digits - 1) + gap more.
enum { kInC, kWords, kLanes };

static inline int32_t round16(int32_t n) { return (n + 15) & -16; }

// An address as the assembly takes it.
static inline uint32_t word_of(const void* pointer) { return (uint32_t)(uintptr_t)pointer; }

// Rows of weights times columns of input, requantized; the functions change their copy. conv.S
// relies on the offsets.
typedef struct {
  uint32_t in;                       // 0: 16-byte aligned
  uint32_t weights;                  // 4: [channels][weight_step], 16-byte aligned
  uint32_t out;                      // 8
  uint32_t bias, multiplier, shift;  // 12, 16, 20
  uint32_t table;                    // 24: the entry of 0, so that a signed value is its index
  uint32_t partial;     // 28: eight bytes for each pixel, where the depth needs several passes
  int32_t pixels;       // 32
  int32_t channels;     // 36
  int32_t in_step;      // 40: bytes from one pixel's input to the next
  int32_t out_step;     // 44
  int32_t weight_step;  // 48: bytes of a row of weights
  int32_t passes;       // 52: full ones of 96 inputs before the last
  int32_t zero_point;   // 56
} PieConv;

// pie_conv_<n> takes 16 * n inputs at once; _deep that many after full passes of 96; _table looks
// the result up.
#define PIE_CONV_VARIANTS(X, suffix) \
  X(pie_conv_1##suffix)              \
  X(pie_conv_2##suffix)              \
  X(pie_conv_3##suffix)              \
  X(pie_conv_4##suffix)              \
  X(pie_conv_5##suffix)              \
  X(pie_conv_6##suffix)
#define PIE_CONV_FUNCTIONS(X)       \
  PIE_CONV_VARIANTS(X, )            \
  PIE_CONV_VARIANTS(X, _table)      \
  PIE_CONV_VARIANTS(X, _deep)       \
  PIE_CONV_VARIANTS(X, _deep_table) \
  X(pie_conv_single)                \
  X(pie_conv_single_table)

// Groups of sixteen output channels in lanes; conv_lanes.S relies on the offsets.
typedef struct {
  uint32_t in;         // 0: 16-byte aligned
  uint32_t weights;    // 4: the first group's header
  uint32_t out;        // 8: 16-byte aligned
  int32_t groups;      // 12
  int32_t pixels;      // 16
  int32_t sixteens;    // 20: of inputs
  int32_t eight;       // 24: 1 if eight more follow
  int32_t out_step;    // 28
  uint32_t table;      // 32: the entry of -128, or 0
  int32_t group_step;  // 36: bytes of a group less 48
  int32_t back;        // 40: from the last constant to the first weights
} PieConvLanes;

#define PIE_CONV_LANES_FUNCTIONS(X) PIE_LANES_VARIANTS(X, conv_lanes)

// One pixel of a depthwise convolution, for all channels; depthwise.S relies on the offsets.
typedef struct {
  uint32_t taps;      // 0: the addresses of the pixels under the window, 16-byte aligned
  int32_t tap_count;  // 4: at most 31, whose products 20 bits hold
  uint32_t weights;   // 8: as packed for this variant
  uint32_t out;       // 12
  uint32_t table;     // 16: the entry of 0
  uint32_t sums;      // 20
  int32_t groups;     // 24: of sixteen channels
  uint32_t image;     // 28: 64 bytes, 16-byte aligned
  int32_t offset;     // 32: of the first group in a pixel
} PieDepthwise;

#define PIE_DEPTHWISE_FUNCTIONS(X) \
  X(pie_depthwise)                 \
  X(pie_depthwise_table)           \
  X(pie_depthwise_sums)            \
  X(pie_depthwise_table_sums)

// A row of a depthwise convolution, by groups of sixteen channels; lanes.S relies on the offsets.
typedef struct {
  uint32_t rows;       // 0: the addresses of the first columns inside the image, 0 outside
  uint32_t image;      // 4: 48 bytes, 16-byte aligned
  uint32_t strip;      // 8: 16 bytes for each column of each row, 16-byte aligned
  uint32_t weights;    // 12: as packed for this variant
  uint32_t out;        // 16: of the first channel
  int32_t groups;      // 20
  int32_t offset;      // 24: of the first group in a pixel
  int32_t height;      // 28
  int32_t left;        // 32: columns outside the image
  int32_t inside;      // 36
  int32_t right;       // 40
  int32_t in_step;     // 44: from pixel to pixel
  int32_t row_step;    // 48: in the strip, from the end of a window's row to its next
  int32_t next_step;   // 52: from its last tap to the next window's first
  int32_t out_step;    // 56
  int32_t pixels;      // 60: at most 254, whose sum has 16 bits
  uint32_t table;      // 64: the entry of -128, or 0
  uint32_t sums;       // 68: 16-byte aligned, or 0
  uint32_t pad;        // 72: the byte that lies outside the image
  int32_t group_step;  // 76: bytes of a group less 48
} PieLanes;

// pie_lanes_<window>_<upper digits of a sum>; _gap where sums above and below zero round
// differently.
#define PIE_LANES_VARIANTS(X, name) \
  X(pie_##name##_1)                 \
  X(pie_##name##_1_gap)             \
  X(pie_##name##_2)                 \
  X(pie_##name##_2_gap)             \
  X(pie_##name##_3)                 \
  X(pie_##name##_3_gap)
#define PIE_LANES_FUNCTIONS(X)     \
  PIE_LANES_VARIANTS(X, lanes_3x3) \
  PIE_LANES_VARIANTS(X, lanes_5x5)

// How elementwise.S rescales: see the comment of conv.S, for one shift and zero point.
typedef struct {
  int32_t multiplier, added, mask, shift;
} PieScale;

// elementwise.S relies on the offsets of these.
typedef struct {
  uint32_t in, gate, out;                  // 0, 4, 8
  int32_t pixels, channels, step;          // 12, 16, 20
  int32_t in_zero_point, gate_zero_point;  // 24, 28
  int32_t multiplier, added, shift;        // 32, 36, 40
  uint32_t table;                          // 44: the entry of 0
} PieGate;

typedef struct {
  int32_t zero_point;
  PieScale scale;
} PieAddInput;

typedef struct {
  uint32_t a, b, out;  // 0, 4, 8
  int32_t count;       // 12
  PieAddInput first;   // 16
  PieAddInput second;  // 36
  PieScale result;     // 56
  uint32_t table;      // 72
} PieAdd;

typedef struct {
  uint32_t sums, out;      // 0, 4
  int32_t channels, bias;  // 8, 12
  PieScale scale;          // 16
  uint32_t table;          // 32
} PieMean;

// elementwise_lanes.S relies on the offsets of these. Tensors and constants are 16-byte aligned.
typedef struct {
  uint32_t in, gate, out;  // 0, 4, 8
  uint32_t packed;         // 12
  int32_t groups;          // 16: of sixteen channels
  int32_t pixels, step;    // 20, 24
  uint32_t table;          // 28: the entry of -128, or 0
} PieGateLanes;

typedef struct {
  uint32_t a, b, out;  // 0, 4, 8
  uint32_t packed;     // 12
  int32_t vectors;     // 16
  uint32_t table;      // 20: the entry of -128, or 0
} PieAddLanes;

#define PIE_GATE_LANES_FUNCTIONS(X) PIE_LANES_VARIANTS(X, gate_lanes)

#define PIE_GATE_FUNCTIONS(X) X(pie_gate) X(pie_gate_table)
#define PIE_ADD_FUNCTIONS(X) X(pie_add) X(pie_add_table)
#define PIE_MEAN_FUNCTIONS(X) X(pie_mean) X(pie_mean_table)

#ifdef __cplusplus
extern "C" {
#endif
#define PIE_DECLARE_CONV(name) void name(PieConv* conv);
PIE_CONV_FUNCTIONS(PIE_DECLARE_CONV)
#define PIE_DECLARE_CONV_LANES(name) void name(PieConvLanes* conv);
PIE_CONV_LANES_FUNCTIONS(PIE_DECLARE_CONV_LANES)
#define PIE_DECLARE_DEPTHWISE(name) void name(PieDepthwise* depthwise);
PIE_DEPTHWISE_FUNCTIONS(PIE_DECLARE_DEPTHWISE)
#define PIE_DECLARE_LANES(name) void name(PieLanes* lanes);
PIE_LANES_FUNCTIONS(PIE_DECLARE_LANES)
#define PIE_DECLARE_GATE(name) void name(PieGate* gate);
PIE_GATE_FUNCTIONS(PIE_DECLARE_GATE)
#define PIE_DECLARE_GATE_LANES(name) void name(PieGateLanes* gate);
PIE_GATE_LANES_FUNCTIONS(PIE_DECLARE_GATE_LANES)
void pie_add_lanes(PieAddLanes* add);
#define PIE_DECLARE_ADD(name) void name(PieAdd* add);
PIE_ADD_FUNCTIONS(PIE_DECLARE_ADD)
#define PIE_DECLARE_MEAN(name) void name(PieMean* mean);
PIE_MEAN_FUNCTIONS(PIE_DECLARE_MEAN)
#ifdef __cplusplus
}
#endif

#endif  // FIRMWARE_LIB_KERNELS_PIE_PIE_H_
