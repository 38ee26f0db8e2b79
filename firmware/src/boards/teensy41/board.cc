// PJRC Teensy 4.1: Serial is the board's own USB port, which has no baud rate.
#include "arduino_board.h"

namespace arduino_board {

const char* const kName = "teensy41";

void Begin() { Serial.begin(BOARD_BAUD); }
Stream& Line() { return Serial; }
uint32_t ClockHz() { return F_CPU_ACTUAL; }

}  // namespace arduino_board
