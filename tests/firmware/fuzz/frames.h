// What is true of all that the binary session sends: whole frames, each an answer or a Log.
#ifndef SWIN2MCU_FUZZ_FRAMES_H_
#define SWIN2MCU_FUZZ_FRAMES_H_

#include "fake.h"
#include "wire.h"

inline void CheckFrames(const uint8_t* data, size_t size) {
  static wire::Decoder decoder;
  const uint8_t* const end = data + size;
  fake::Check(size != 0 && end[-1] == wire::kDelimiter, "a frame is not ended");
  fake::Check(decoder.Feed(&data, end) == wire::Decoder::Event::kFrame, "a frame is damaged");
  fake::Check(data == end, "more than one frame at once");
  fake::Check((decoder.frame().type & wire::kAnswerBit) != 0, "not an answer");
}

inline void StartSession() {
  fake::on_write = CheckFrames;
  session::Start(nullptr);
  fake::Receive(&wire::kDelimiter, 1);  // the decoder forgets the last input's rest
}

#endif  // SWIN2MCU_FUZZ_FRAMES_H_
