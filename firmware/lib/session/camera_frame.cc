#include "camera_frame.h"

#include <string.h>  // memcpy

#include "vision.h"
#include "wire.h"

namespace session {
namespace {

// Enough for 640 x 480 in any format and a network's input of 224 pixels: 15.6 KiB of tables and
// rows, and a row of 1,920 bytes.
constexpr uint32_t kScratchBytes = 16 << 10;
constexpr uint32_t kRowBytes = 2048;

alignas(4) uint8_t scratch[kScratchBytes];
uint8_t row[kRowBytes];
uint32_t row_bytes;  // of the current frame
Vision vision;
bool started;  // `vision` holds the tables of vision.geometry

bool Same(const VisionGeometry& a, const VisionGeometry& b) {
  return a.format == b.format && a.frame_width == b.frame_width &&
         a.frame_height == b.frame_height && a.width == b.width && a.height == b.height &&
         a.center_crop == b.center_crop;
}

}  // namespace

const char* CameraFrame::Begin(const uint8_t* payload, size_t size, const engine::Info& model) {
  begun_ = false;
  if (size != 6 || payload[1] > 1) return "not a format, a crop and two sides";
  if (payload[0] >= VISION_FORMATS) return "unknown frame format";
  if (model.channels != 3) return "the model's input does not have three channels";
  const VisionGeometry geometry = {static_cast<VisionFormat>(payload[0]),
                                   wire::ReadU16(payload + 2),
                                   wire::ReadU16(payload + 4),
                                   model.width,
                                   model.height,
                                   payload[1] != 0};
  if (!started || !Same(geometry, vision.geometry)) {
    started = false;
    const char* const error = vision_start(&vision, &geometry, scratch, kScratchBytes);
    if (error != nullptr) return error;
    started = true;
  }
  row_bytes = vision_row_bytes(geometry.format, geometry.frame_width);
  if (row_bytes > kRowBytes) return "a row of the frame is too long";
  vision_begin(&vision, engine::Input());
  bytes_ = static_cast<size_t>(row_bytes) * geometry.frame_height;
  taken_ = 0;
  begun_ = true;
  return nullptr;
}

void CameraFrame::Take(size_t offset, const uint8_t* data, size_t size) {
  const size_t known = taken_ - offset;
  if (known >= size) return;
  data += known;
  size -= known;
  while (size != 0) {
    const size_t at = taken_ % row_bytes;
    const size_t part = size < row_bytes - at ? size : row_bytes - at;
    memcpy(row + at, data, part);
    taken_ += part;
    data += part;
    size -= part;
    if (at + part == row_bytes) vision_rows(&vision, row, 1);
  }
}

}  // namespace session
