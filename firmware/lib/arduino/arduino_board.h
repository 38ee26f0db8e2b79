// What differs between boards that an Arduino core drives; src/boards/<board>/board.cc says it.
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
