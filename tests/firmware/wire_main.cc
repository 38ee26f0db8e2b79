// Decodes a stream from stdin, fed in pieces of argv[1] bytes; prints each frame as it is encoded
// again, in hex, and "bad" for a damaged one.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "wire.h"

int main(int argc, char** argv) {
  const size_t step = argc > 1 ? static_cast<size_t>(std::atoi(argv[1])) : 1;
  std::vector<uint8_t> stream;
  for (int byte; (byte = std::getchar()) != EOF;) stream.push_back(static_cast<uint8_t>(byte));
  static wire::Decoder decoder;
  for (size_t at = 0; at < stream.size(); at += step) {
    // A copy of its own, so that the sanitizer sees a read beyond the piece.
    const size_t size = stream.size() - at < step ? stream.size() - at : step;
    const std::vector<uint8_t> piece(stream.begin() + static_cast<long>(at),
                                     stream.begin() + static_cast<long>(at + size));
    const uint8_t* data = piece.data();
    const uint8_t* const end = data + size;
    while (data != end) {
      const wire::Decoder::Event event = decoder.Feed(&data, end);
      if (event == wire::Decoder::Event::kBadFrame) std::puts("bad");
      if (event != wire::Decoder::Event::kFrame) continue;
      const wire::Frame& frame = decoder.frame();
      std::vector<uint8_t> out(wire::kMaxFrame);
      out.resize(wire::Encode(frame.type, frame.seq, frame.payload, frame.size, out.data()));
      for (const uint8_t byte : out) std::printf("%02x", byte);
      std::puts("");
    }
  }
  return 0;
}
