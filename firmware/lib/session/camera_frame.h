// A camera's frame that comes in parts → the model's input, prepared by lib/vision as it comes.
#ifndef SWIN2MCU_CAMERA_FRAME_H_
#define SWIN2MCU_CAMERA_FRAME_H_

#include <stddef.h>
#include <stdint.h>

#include "engine.h"

namespace session {

class CameraFrame {
 public:
  // payload := format:u8  center_crop:u8  width:u16  height:u16
  // Returns null, or why such a frame is refused; nothing of one is taken before it is accepted.
  const char* Begin(const uint8_t* payload, size_t size, const engine::Info& model);
  void Drop() { begun_ = false; }

  bool begun() const { return begun_; }
  size_t bytes() const { return bytes_; }  // of the whole frame
  size_t taken() const { return taken_; }  // from its start, without a gap
  bool whole() const { return begun_ && taken_ == bytes_; }

  // The caller has checked that `offset` <= taken() and that the part ends within bytes(). What was
  // taken before is skipped: the rows are in the input already.
  void Take(size_t offset, const uint8_t* data, size_t size);

 private:
  bool begun_ = false;
  size_t bytes_ = 0;
  size_t taken_ = 0;
};

}  // namespace session

#endif  // SWIN2MCU_CAMERA_FRAME_H_
