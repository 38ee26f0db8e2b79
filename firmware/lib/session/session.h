// Messages → actions. One implementation is linked: session/ speaks docs/PROTOCOL.md,
// session_mlperf/ the commands of MLPerf Tiny.
#ifndef SWIN2MCU_SESSION_H_
#define SWIN2MCU_SESSION_H_

#include <stddef.h>
#include <stdint.h>

namespace session {

// `engine_error` is what engine::Init() returned. A failed start still answers, with its reason.
void Start(const char* engine_error);

// Takes bytes as they come from the line; answers go out through board::Write.
void Receive(const uint8_t* data, size_t size);

}  // namespace session

#endif  // SWIN2MCU_SESSION_H_
