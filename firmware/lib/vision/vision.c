// The vertical pass, the order of the passes, and the layout of the caller's scratch memory.
#include "vision.h"

#include "formats.h"
#include "rows.h"

enum { CHANNELS = 3 };

static uint32_t round4(uint32_t bytes) { return (bytes + 3) & ~3u; }

uint32_t vision_row_bytes(VisionFormat format, uint16_t frame_width) {
  const uint32_t pixel = format == VISION_RGB888 ? 3 : format == VISION_GRAY ? 1 : 2;
  return pixel * frame_width;
}

static bool fits(uint16_t side) { return side >= 1 && side <= VISION_MAX_SIDE; }

static const char* why_not(const VisionGeometry* g) {
  if ((uint32_t)g->format >= VISION_FORMATS) return "unknown frame format";
  if (!fits(g->frame_width) || !fits(g->frame_height) || !fits(g->width) || !fits(g->height)) {
    return "a frame's sides lie between 1 and 8191 pixels";
  }
  if (g->format == VISION_YUV422 && g->frame_width % 2) return "the width of YUV422 is even";
  return 0;
}

// The part of the frame that is used, and what follows from its size.
static void plan(Vision* vision) {
  const VisionGeometry* const g = &vision->geometry;
  uint32_t columns = g->frame_width, rows = g->frame_height;
  if (g->center_crop) {
    const uint32_t wide = columns * g->height, high = rows * g->width;
    if (wide > high) {
      columns = high / g->height;
    } else {
      rows = wide / g->width;
    }
    columns = columns ? columns : 1;
    rows = rows ? rows : 1;
  }
  vision->columns = (uint16_t)columns;
  vision->rows = (uint16_t)rows;
  vision->left = (uint16_t)((g->frame_width - columns) / 2);
  vision->top = (uint16_t)((g->frame_height - rows) / 2);
  // Pillow's rule: down first where the height shrinks by more than twice what the width does.
  const int32_t lower = (int32_t)rows - g->height, narrower = (int32_t)columns - g->width;
  vision->down_first = lower > 0 && lower > 2 * narrower;
  vision->line_bytes = CHANNELS * (vision->down_first ? columns : g->width);
}

static bool height_shrinks(const Vision* v) { return v->rows >= v->geometry.height; }
static bool width_shrinks(const Vision* v) { return v->columns >= v->geometry.width; }

static uint32_t scratch_of(const Vision* v) {
  const VisionGeometry* const g = &v->geometry;
  uint32_t bytes = vision_axis_bytes(v->columns, g->width) + vision_axis_bytes(v->rows, g->height);
  bytes += round4(v->line_bytes);
  bytes += height_shrinks(v) ? (uint32_t)sizeof(VisionSums) * v->line_bytes : round4(v->line_bytes);
  return bytes + (width_shrinks(v) ? 0 : round4(CHANNELS * v->columns));
}

uint32_t vision_scratch_bytes(const VisionGeometry* geometry) {
  if (why_not(geometry)) return 0;
  Vision vision;
  vision.geometry = *geometry;
  plan(&vision);
  return scratch_of(&vision);
}

const char* vision_start(Vision* vision, const VisionGeometry* geometry, void* scratch,
                         uint32_t scratch_bytes) {
  const char* const error = why_not(geometry);
  if (error) return error;
  vision->geometry = *geometry;
  plan(vision);
  if (scratch_of(vision) > scratch_bytes) return "the frame needs more scratch memory";
  uint32_t* words = scratch;
  vision_axis_fill(&vision->across, vision->columns, geometry->width, words);
  words += vision_axis_bytes(vision->columns, geometry->width) / 4;
  vision_axis_fill(&vision->down, vision->rows, geometry->height, words);
  words += vision_axis_bytes(vision->rows, geometry->height) / 4;
  vision->sums = (VisionSums*)words;
  vision->previous = (uint8_t*)words;
  words += height_shrinks(vision) ? 2 * vision->line_bytes : round4(vision->line_bytes) / 4;
  vision->line = (uint8_t*)words;
  vision->decoded = vision->line + round4(vision->line_bytes);
  vision_begin(vision, 0);
  return 0;
}

enum { kFlip = 0x80 };  // int8 is pixel - 128: one bit of difference

// The start value of a vertical sum: a half for rounding and, where the sum becomes the input
// itself, the flipped bit. No carry reaches that bit, because sums stay below it.
static uint32_t empty_sum(const Vision* v) {
  return VISION_AXIS_HALF + (v->down_first ? 0 : (uint32_t)kFlip << VISION_AXIS_BITS);
}

void vision_begin(Vision* vision, int8_t* input) {
  vision->input = input;
  vision->row = vision->output_row = 0;
  if (!height_shrinks(vision)) return;
  const VisionSums empty = {empty_sum(vision), empty_sum(vision)};
  for (uint32_t i = 0; i < vision->line_bytes; ++i) vision->sums[i] = empty;
}

static uint8_t* output_row(const Vision* v) {
  return (uint8_t*)v->input + (uint32_t)v->output_row * v->geometry.width * CHANNELS;
}

static void pass_across(const Vision* v, VisionFormat format, const uint8_t* row, uint32_t left,
                        uint8_t* out) {
  if (width_shrinks(v)) {
    vision_shrink_row(format, row, left, &v->across, out);
  } else {
    vision_decode_row(format, row, left, v->columns, v->decoded);
    vision_grow_row(v->decoded, &v->across, out);
  }
}

static inline void add_byte(uint32_t value, uint32_t here, uint32_t after, VisionSums* sums) {
  const VisionSums before = *sums;
  *sums = (VisionSums){before.current + value * here, before.next + value * after};
}

// A line's length is a multiple of three, and mostly of six.
VISION_UNSCHEDULED static void add_line(const uint8_t* line, const VisionSums* end,
                                        const uint32_t* weights, VisionSums* sums) {
  const uint32_t here = weights[0], after = weights[1];
  for (; (end - sums) % 6; ++line, ++sums) add_byte(*line, here, after, sums);
  for (; sums != end; sums += 6, line += 6) {
    add_byte(line[0], here, after, &sums[0]);
    add_byte(line[1], here, after, &sums[1]);
    add_byte(line[2], here, after, &sums[2]);
    add_byte(line[3], here, after, &sums[3]);
    add_byte(line[4], here, after, &sums[4]);
    add_byte(line[5], here, after, &sums[5]);
  }
}

static inline uint8_t finish_byte(uint32_t value, uint32_t here, uint32_t after, uint32_t empty,
                                  VisionSums* sums) {
  const VisionSums before = *sums;
  *sums = (VisionSums){before.next + value * after, empty};
  return (uint8_t)((before.current + value * here) >> VISION_AXIS_BITS);
}

// The same for the last line of an output row: the row becomes bytes, and the next output row
// becomes the current one. `out` may be `line`.
VISION_UNSCHEDULED static void finish_line(const uint8_t* line, const VisionSums* end,
                                           const uint32_t* weights, uint32_t empty,
                                           VisionSums* sums, uint8_t* out) {
  const uint32_t here = weights[0], after = weights[1];
  for (; (end - sums) % 6; ++sums) *out++ = finish_byte(*line++, here, after, empty, sums);
  for (; sums != end; sums += 6, line += 6, out += 6) {
    out[0] = finish_byte(line[0], here, after, empty, &sums[0]);
    out[1] = finish_byte(line[1], here, after, empty, &sums[1]);
    out[2] = finish_byte(line[2], here, after, empty, &sums[2]);
    out[3] = finish_byte(line[3], here, after, empty, &sums[3]);
    out[4] = finish_byte(line[4], here, after, empty, &sums[4]);
    out[5] = finish_byte(line[5], here, after, empty, &sums[5]);
  }
}

static void finish_row(Vision* v, const uint32_t* weights) {
  uint8_t* const out = output_row(v);
  const VisionSums* const end = v->sums + v->line_bytes;
  if (v->down_first) {
    finish_line(v->line, end, weights, empty_sum(v), v->sums, v->line);
    pass_across(v, VISION_RGB888, v->line, 0, out);
    const uint32_t bytes = CHANNELS * (uint32_t)v->geometry.width;
    for (uint32_t i = 0; i < bytes; ++i) out[i] ^= kFlip;
  } else {
    finish_line(v->line, end, weights, empty_sum(v), v->sums, out);
  }
  ++v->output_row;
}

// All output rows whose last line has arrived.
static void blend_rows(Vision* v, uint32_t row) {
  for (; v->output_row < v->down.to && v->down.last[v->output_row] == row; ++v->output_row) {
    const uint32_t* const weights = v->down.weights[v->output_row];
    uint8_t* const out = output_row(v);
    const uint8_t* const before = row ? v->previous : v->line;  // its weight is 0 there
    for (uint32_t i = 0; i < v->line_bytes; ++i) {
      const uint32_t sum = before[i] * weights[0] + v->line[i] * weights[1];
      out[i] = (uint8_t)((sum + VISION_AXIS_HALF) >> VISION_AXIS_BITS ^ kFlip);
    }
  }
  uint8_t* const line = v->line;
  v->line = v->previous;
  v->previous = line;
}

// Row `row` of the part that is used.
static void take_row(Vision* v, const uint8_t* bytes, uint32_t row) {
  const VisionFormat format = v->geometry.format;
  if (v->down_first) {
    vision_decode_row(format, bytes, v->left, v->columns, v->line);
  } else {
    pass_across(v, format, bytes, v->left, v->line);
  }
  if (!height_shrinks(v)) {
    blend_rows(v, row);
  } else if (v->down.last[v->output_row] == row) {
    finish_row(v, v->down.weights[row]);
  } else {
    add_line(v->line, v->sums + v->line_bytes, v->down.weights[row], v->sums);
  }
}

bool vision_rows(Vision* vision, const uint8_t* rows, uint32_t count) {
  const uint32_t row_bytes =
      vision_row_bytes(vision->geometry.format, vision->geometry.frame_width);
  for (; count && vision->output_row < vision->geometry.height; --count, rows += row_bytes) {
    const uint32_t row = vision->row++;
    if (row >= vision->top) take_row(vision, rows, row - vision->top);
  }
  return vision->output_row >= vision->geometry.height;
}
