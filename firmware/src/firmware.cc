// One loop: bytes come from the board's line and go to the session, which answers.
#include "firmware.h"

#include "board.h"
#include "engine.h"
#include "session.h"

void RunFirmware() {
  board::Init();
  session::Start(engine::Init());
  static uint8_t bytes[256];
  for (;;) session::Receive(bytes, board::Read(bytes, sizeof(bytes)));
}
