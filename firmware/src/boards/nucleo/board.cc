// ST Nucleo-H743ZI2: `Serial` of its core is USART3, which ST-LINK connects to USB.
#include "arduino_board.h"

namespace arduino_board {

const char* const kName = "nucleo-h743zi2";

void Begin() { Serial.begin(BOARD_BAUD); }
Stream& Line() { return Serial; }
uint32_t ClockHz() { return SystemCoreClock; }

}  // namespace arduino_board
