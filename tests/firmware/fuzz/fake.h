// A board and an engine for fuzzing: their buffers are exactly as large as they say and lie on the
// heap, so that the address sanitizer sees the first byte read or written beside them.
#ifndef SWIN2MCU_FUZZ_FAKE_H_
#define SWIN2MCU_FUZZ_FAKE_H_

#include <cstddef>
#include <cstdint>

#include "session.h"

namespace fake {

// What a target looks at: called with all that the session sends.
extern void (*on_write)(const uint8_t* data, size_t size);

// Gives bytes to the session in a heap block of their own.
void Receive(const uint8_t* data, size_t size);

// Fails the run unless `truth` holds.
void Check(bool truth, const char* what);

}  // namespace fake

#endif  // SWIN2MCU_FUZZ_FAKE_H_
