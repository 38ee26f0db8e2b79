// ST Nucleo-H743ZI2: its core names USART3, which ST-LINK carries over USB, Serial.
#include "arduino_board.h"

namespace arduino_board {

const char* const kName = "nucleo-h743zi2";

void Begin() { Serial.begin(BOARD_BAUD); }
Stream& Line() { return Serial; }
uint32_t ClockHz() { return SystemCoreClock; }

}  // namespace arduino_board
