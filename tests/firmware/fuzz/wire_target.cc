// Any bytes on the line, in pieces whose size the first byte says.
#include "frames.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  StartSession();
  const size_t step = static_cast<size_t>(*data++) + 1;
  for (--size; size != 0;) {
    const size_t piece = size < step ? size : step;
    fake::Receive(data, piece);
    data += piece;
    size -= piece;
  }
  return 0;
}
