// Frames on the serial line: their bytes, not the meaning of their messages.
//
//   wire := COBS(body) 0x00
//   body := type:u8  seq:u8  payload[0..1024]  crc32:u32le      (CRC-32 as in zlib, over all
//   before)
#ifndef SWIN2MCU_WIRE_H_
#define SWIN2MCU_WIRE_H_

#include <stddef.h>
#include <stdint.h>

namespace wire {

inline constexpr uint8_t kProtocolVersion = 1;
inline constexpr size_t kMaxPayload = 1024;
inline constexpr size_t kHeaderSize = 2;
inline constexpr size_t kCrcSize = 4;
inline constexpr size_t kMaxBody = kHeaderSize + kMaxPayload + kCrcSize;
// COBS adds one byte per 254 begun, and the delimiter ends the frame.
inline constexpr size_t kMaxFrame = kMaxBody + kMaxBody / 254 + 1 + 1;
inline constexpr uint8_t kDelimiter = 0;

// An answer repeats its request's seq and sets this bit of its type.
inline constexpr uint8_t kAnswerBit = 0x80;

enum Type : uint8_t {
  kHello = 0x01,
  kLoad = 0x02,
  kRun = 0x03,
  kProfile = 0x04,
  kEcho = 0x05,
  kFrame = 0x06,
  kPart = 0x07,
  kInfo = kHello | kAnswerBit,
  kAck = kLoad | kAnswerBit,
  kResult = kRun | kAnswerBit,
  kProfileAnswer = kProfile | kAnswerBit,
  kEchoAnswer = kEcho | kAnswerBit,
  kFrameBegun = kFrame | kAnswerBit,
  kPartTaken = kPart | kAnswerBit,
  kLog = 0xFE,   // unasked, seq 0, payload is text
  kNack = 0xFF,  // payload[0] is a NackCode
};

enum NackCode : uint8_t {
  kBadFrame = 1,      // a damaged request: send it again (seq 0, the request's is not known)
  kUnknownType = 2,   // no such request
  kBadPayload = 3,    // invalid lengths, offsets or counts, or a frame that is refused
  kOutOfOrder = 4,    // a Load or Part beyond the bytes received so far: begin again
  kNotLoaded = 5,     // Run without a complete Load since the last Run or reset
  kEngineFailed = 6,  // it could not start or run: the rest of the payload says why
};

struct Frame {
  uint8_t type;
  uint8_t seq;
  const uint8_t* payload;  // inside the decoder; valid until it is fed again
  size_t size;
};

// CRC-32 as in zlib; `crc` continues an earlier call.
uint32_t Crc32(const uint8_t* data, size_t size, uint32_t crc = 0);

inline uint16_t ReadU16(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }
inline uint32_t ReadU32(const uint8_t* p) {
  return ReadU16(p) | static_cast<uint32_t>(ReadU16(p + 2)) << 16;
}

// Writes little-endian values one after another and stops at the end of its buffer.
class Writer {
 public:
  Writer(uint8_t* data, size_t capacity) : data_(data), capacity_(capacity) {}
  void U8(uint8_t value);
  void U16(uint16_t value);
  void U32(uint32_t value);
  void Bytes(const uint8_t* data, size_t size);
  void Text(const char* text);  // u8 length, then at most 255 bytes
  size_t size() const { return size_; }
  bool overflowed() const { return overflowed_; }

 private:
  uint8_t* data_;
  size_t capacity_;
  size_t size_ = 0;
  bool overflowed_ = false;
};

// Encodes one frame; `out` holds kMaxFrame bytes, `size` is at most kMaxPayload. Returns the bytes
// written, delimiter included.
size_t Encode(uint8_t type, uint8_t seq, const uint8_t* payload, size_t size, uint8_t* out);

// Decodes COBS as bytes arrive and checks the frame at each delimiter.
class Decoder {
 public:
  enum class Event : uint8_t { kNone, kFrame, kBadFrame };

  // Consumes bytes from `*data` on, at most up to `end`, and stops behind a frame's delimiter.
  // Empty frames are skipped: a delimiter may be sent at any time to end a damaged frame.
  Event Feed(const uint8_t** data, const uint8_t* end);
  const Frame& frame() const { return frame_; }  // after kFrame

 private:
  Event Finish();

  uint8_t body_[kMaxBody];
  size_t size_ = 0;
  uint8_t block_left_ = 0;     // bytes until the next COBS code
  bool zero_pending_ = false;  // the block that ends encodes a zero, unless the frame ends too
  bool empty_ = true;
  bool bad_ = false;
  Frame frame_{};
};

}  // namespace wire

#endif  // SWIN2MCU_WIRE_H_
