// A Cortex-M board whose Arduino core provides start-up, clocks and the serial line; costs are read
// from the processor's cycle counter.
#include "arduino_board.h"
#include "board.h"
#include "firmware.h"

namespace {

// The data watchpoint and trace unit (Armv7-M Architecture Reference Manual, C1.8).
constexpr uintptr_t kTrace = 0xE000EDFC, kLock = 0xE0001FB0;
constexpr uintptr_t kControl = 0xE0001000, kCycles = 0xE0001004;

volatile uint32_t& Register(uintptr_t address) {
  return *reinterpret_cast<volatile uint32_t*>(address);
}

}  // namespace

namespace board {

void Init() {
  Register(kTrace) = Register(kTrace) | 1u << 24;  // the unit is off after a reset
  Register(kLock) = 0xC5ACCE55;                    // the M7 ignores writes to it without this key
  Register(kControl) = Register(kControl) | 1;
  arduino_board::Begin();
}

const char* Name() { return arduino_board::kName; }

size_t Read(uint8_t* data, size_t capacity) {
  Stream& line = arduino_board::Line();
  while (line.available() <= 0) {
  }
  size_t size = 0;
  while (size < capacity && line.available() > 0) data[size++] = static_cast<uint8_t>(line.read());
  return size;
}

// A core waits for room in its buffer only while a host listens; what nobody reads is dropped.
void Write(const uint8_t* data, size_t size) {
  arduino_board::Line().write(data, size);
  arduino_board::Line().flush();
}

uint32_t Clock() { return Register(kCycles); }
uint32_t Cost(uint32_t ticks) { return ticks / (arduino_board::ClockHz() / 1000000); }
CostUnit Unit() { return CostUnit::kMicroseconds; }

// The cycle at which the host's first request came: two boots have the same one only by chance.
uint32_t BootNumber() {
  static const uint32_t number = Clock() ^ static_cast<uint32_t>(micros()) << 12;
  return number;
}

uint32_t StackBytes() { return 0; }
uint32_t ChipId() { return Register(0xE000ED00); }  // CPUID
uint32_t ClockHz() { return arduino_board::ClockHz(); }

}  // namespace board

void setup() {}
void loop() { RunFirmware(); }
