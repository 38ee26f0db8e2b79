// Any bytes to the session that speaks MLPerf Tiny's commands.
#include "fake.h"

namespace {

// Whatever comes in, nothing but lines of printable text goes out.
void CheckText(const uint8_t* data, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    const bool printable = data[i] >= ' ' && data[i] <= '~';
    fake::Check(printable || data[i] == '\r' || data[i] == '\n', "not a printable character");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  fake::on_write = CheckText;
  session::Start(nullptr);
  const size_t step = static_cast<size_t>(*data++) + 1;
  for (--size; size != 0;) {
    const size_t piece = size < step ? size : step;
    fake::Receive(data, piece);
    data += piece;
    size -= piece;
  }
  return 0;
}
