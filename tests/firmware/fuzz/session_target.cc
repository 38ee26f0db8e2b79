// Any messages, put into right frames: what a CRC keeps from the other target.
//   input := (type:u8  seq:u8  size:u16le  payload[size])*
#include "frames.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  StartSession();
  while (size >= 4) {
    const uint8_t type = data[0], seq = data[1];
    size_t length = wire::ReadU16(data + 2) % (wire::kMaxPayload + 1);
    data += 4;
    size -= 4;
    if (length > size) length = size;
    uint8_t frame[wire::kMaxFrame];
    fake::Receive(frame, wire::Encode(type, seq, data, length, frame));
    data += length;
    size -= length;
  }
  return 0;
}
