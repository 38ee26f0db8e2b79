#include "wire.h"

#include <string.h>  // memcpy, strlen

namespace wire {
namespace {

struct CrcTable {
  uint32_t entries[256];
};

constexpr CrcTable MakeCrcTable() {
  CrcTable table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
    table.entries[i] = crc;
  }
  return table;
}

constexpr CrcTable kCrcTable = MakeCrcTable();

// Builds COBS blocks in place: a code byte is reserved, then filled in when its block ends.
class CobsWriter {
 public:
  explicit CobsWriter(uint8_t* out) : out_(out) {}

  void Bytes(const uint8_t* data, size_t size) {
    for (const uint8_t* end = data + size; data != end; ++data) {
      if (size_ - code_at_ == 255) EndBlock();  // full, and something follows
      if (*data != 0) {
        out_[size_++] = *data;
      } else {
        EndBlock();
      }
    }
  }

  size_t Finish() {
    out_[code_at_] = static_cast<uint8_t>(size_ - code_at_);
    out_[size_++] = kDelimiter;
    return size_;
  }

 private:
  void EndBlock() {
    out_[code_at_] = static_cast<uint8_t>(size_ - code_at_);
    code_at_ = size_++;
  }

  uint8_t* out_;
  size_t code_at_ = 0;
  size_t size_ = 1;
};

}  // namespace

uint32_t Crc32(const uint8_t* data, size_t size, uint32_t crc) {
  crc = ~crc;
  for (const uint8_t* end = data + size; data != end; ++data) {
    crc = (crc >> 8) ^ kCrcTable.entries[(crc ^ *data) & 0xFF];
  }
  return ~crc;
}

void Writer::U8(uint8_t value) { Bytes(&value, 1); }

void Writer::U16(uint16_t value) {
  const uint8_t bytes[] = {static_cast<uint8_t>(value), static_cast<uint8_t>(value >> 8)};
  Bytes(bytes, sizeof(bytes));
}

void Writer::U32(uint32_t value) {
  U16(static_cast<uint16_t>(value));
  U16(static_cast<uint16_t>(value >> 16));
}

void Writer::Bytes(const uint8_t* data, size_t size) {
  if (size > capacity_ - size_) {
    overflowed_ = true;
    return;
  }
  if (size != 0) memcpy(data_ + size_, data, size);
  size_ += size;
}

void Writer::Text(const char* text) {
  const size_t length = strlen(text);
  const uint8_t size = static_cast<uint8_t>(length < 255 ? length : 255);
  U8(size);
  Bytes(reinterpret_cast<const uint8_t*>(text), size);
}

size_t Encode(uint8_t type, uint8_t seq, const uint8_t* payload, size_t size, uint8_t* out) {
  const uint8_t header[kHeaderSize] = {type, seq};
  const uint32_t crc = Crc32(payload, size, Crc32(header, kHeaderSize));
  uint8_t crc_bytes[kCrcSize];
  Writer(crc_bytes, kCrcSize).U32(crc);
  CobsWriter cobs(out);
  cobs.Bytes(header, kHeaderSize);
  cobs.Bytes(payload, size);
  cobs.Bytes(crc_bytes, kCrcSize);
  return cobs.Finish();
}

Decoder::Event Decoder::Feed(const uint8_t** data, const uint8_t* end) {
  const uint8_t* p = *data;
  while (p != end) {
    const uint8_t byte = *p++;
    if (byte == kDelimiter) {
      const Event event = Finish();
      if (event == Event::kNone) continue;
      *data = p;
      return event;
    }
    empty_ = false;
    if (block_left_ == 0) {  // `byte` is a code
      if (zero_pending_) {
        if (size_ < kMaxBody) {
          body_[size_++] = 0;
        } else {
          bad_ = true;
        }
      }
      zero_pending_ = byte != 255;
      block_left_ = static_cast<uint8_t>(byte - 1);
      continue;
    }
    --block_left_;
    if (size_ < kMaxBody) {
      body_[size_++] = byte;
    } else {
      bad_ = true;  // too long: read on to its delimiter, keep nothing
    }
  }
  *data = p;
  return Event::kNone;
}

Decoder::Event Decoder::Finish() {
  const bool whole = !bad_ && block_left_ == 0 && size_ >= kHeaderSize + kCrcSize;
  const bool empty = empty_;
  const size_t size = size_;
  size_ = 0;
  block_left_ = 0;
  zero_pending_ = false;
  empty_ = true;
  bad_ = false;
  if (empty) return Event::kNone;
  if (!whole || Crc32(body_, size - kCrcSize) != ReadU32(body_ + size - kCrcSize)) {
    return Event::kBadFrame;
  }
  frame_ = {body_[0], body_[1], body_ + kHeaderSize, size - kHeaderSize - kCrcSize};
  return Event::kFrame;
}

}  // namespace wire
