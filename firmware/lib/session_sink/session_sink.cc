// A session that only receives bytes: it takes their number as u32, little-endian, then the bytes,
// and sends the number back after the last one. It takes as long as the line alone, so
// host_tools/line_speed.py compares the real session with it.
#include "board.h"
#include "session.h"

namespace session {
namespace {

constexpr uint32_t kCountBytes = 4;

uint8_t count_bytes[kCountBytes];
uint32_t counted;  // of count_bytes
uint32_t left;     // bytes to come

void CountByte(uint8_t byte) {
  count_bytes[counted++] = byte;
  if (counted < kCountBytes) return;
  left = static_cast<uint32_t>(count_bytes[0]) | static_cast<uint32_t>(count_bytes[1]) << 8 |
         static_cast<uint32_t>(count_bytes[2]) << 16 | static_cast<uint32_t>(count_bytes[3]) << 24;
}

}  // namespace

void Start(const char*) {}

void Receive(const uint8_t* data, size_t size) {
  const uint8_t* const end = data + size;
  while (data != end) {
    if (counted < kCountBytes) {
      CountByte(*data++);
    } else {
      const size_t here = static_cast<size_t>(end - data);
      const size_t taken = here < left ? here : left;
      data += taken;
      left -= static_cast<uint32_t>(taken);
    }
    if (counted == kCountBytes && left == 0) {
      board::Write(count_bytes, kCountBytes);
      counted = 0;
    }
  }
}

}  // namespace session
