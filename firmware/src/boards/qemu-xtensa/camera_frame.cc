// Replaces lib/session/camera_frame.cc: Debian's compiler for this core has no double-precision
// arithmetic, which lib/vision's tables of weights need.
#include "camera_frame.h"

namespace session {

const char* CameraFrame::Begin(const uint8_t*, size_t, const engine::Info&) {
  return "this board cannot prepare frames: its compiler has no double-precision arithmetic";
}

void CameraFrame::Take(size_t, const uint8_t*, size_t) {}

}  // namespace session
