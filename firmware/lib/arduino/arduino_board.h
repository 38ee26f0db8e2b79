// What differs between boards with an Arduino core; src/boards/<board>/board.cc defines it.
#ifndef SWIN2MCU_ARDUINO_BOARD_H_
#define SWIN2MCU_ARDUINO_BOARD_H_

#include <Arduino.h>

namespace arduino_board {

extern const char* const kName;

void Begin();        // opens the line
Stream& Line();      // to the host
uint32_t ClockHz();  // of the processor

}  // namespace arduino_board

#endif  // SWIN2MCU_ARDUINO_BOARD_H_
