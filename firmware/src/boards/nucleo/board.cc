// ST's Nucleo-144 boards: `Serial` of their core is USART3, which ST-LINK connects to USB.
#include "arduino_board.h"

#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

namespace arduino_board {

const char* const kName = TEXT(BOARD_NAME);  // of the board in platformio.ini

void Begin() { Serial.begin(BOARD_BAUD); }
Stream& Line() { return Serial; }
uint32_t ClockHz() { return SystemCoreClock; }

}  // namespace arduino_board
