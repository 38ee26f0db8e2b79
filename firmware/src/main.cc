// One loop: bytes come from the board's line and go to the session, which answers.
#include "board.h"
#include "engine.h"
#include "session.h"

int main() {
  board::Init();
  session::Start(engine::Init());
  uint8_t bytes[256];
  for (;;) session::Receive(bytes, board::Read(bytes, sizeof(bytes)));
}
