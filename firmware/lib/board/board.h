// Everything that the firmware needs of a board. One implementation is linked: src/boards/<board>/.
#ifndef SWIN2MCU_BOARD_H_
#define SWIN2MCU_BOARD_H_

#include <stddef.h>
#include <stdint.h>

namespace board {

enum class CostUnit : uint8_t {
  kMicroseconds = 0,
  kInstructions = 1,  // an emulated board has no time worth measuring
};

void Init();
const char* Name();

// Waits until at least one byte has come; returns how many were read, at most `capacity`.
size_t Read(uint8_t* data, size_t capacity);
void Write(const uint8_t* data, size_t size);

// A clock that counts up and wraps; Cost() turns the difference of two readings into the unit.
uint32_t Clock();
uint32_t Cost(uint32_t ticks);
CostUnit Unit();

// Another number at each boot, so that the host notices a reset.
uint32_t BootNumber();

// The most stack used since boot, in bytes; 0 where the board does not measure it.
uint32_t StackBytes();

// What the chip reports of itself: CPUID of an Arm core, the revision of an ESP32-S3 (major * 100 +
// minor); 0 where it reports nothing.
uint32_t ChipId();

// The processor's current clock; 0 where it has none that means anything.
uint32_t ClockHz();

}  // namespace board

#endif  // SWIN2MCU_BOARD_H_
