// A stand-in for an Arduino core on QEMU's mps2-an500 (Cortex-M7), so that the firmware of a board
// that is driven by one links whole and runs. Serial is the machine's first port.
#include <Arduino.h>

namespace {

struct Uart {
  volatile uint32_t data;
  volatile uint32_t state;
  volatile uint32_t control;
  volatile uint32_t interrupts;
  volatile uint32_t baud_divisor;
};

Uart* Port() { return reinterpret_cast<Uart*>(0x40004000); }

}  // namespace

HardwareSerial Serial;
uint32_t SystemCoreClock = 480000000;
volatile uint32_t F_CPU_ACTUAL = 600000000;

uint32_t micros() {
  static uint32_t count;
  return ++count;
}

void delay(unsigned long) {}  // virtual time need not pass

size_t Print::print(const char* text) {
  size_t size = 0;
  while (text[size]) ++size;
  return write(reinterpret_cast<const uint8_t*>(text), size);
}

size_t Print::println(const char* text) { return print(text) + write('\n'); }

void HardwareSerial::begin(unsigned long) {
  Port()->baud_divisor = 16;
  Port()->control = 3;
}

int HardwareSerial::available() { return Port()->state >> 1 & 1; }
int HardwareSerial::read() { return available() ? static_cast<int>(Port()->data & 0xFF) : -1; }

size_t HardwareSerial::write(uint8_t byte) {
  while (Port()->state & 1) {
  }
  Port()->data = byte;
  return 1;
}

size_t HardwareSerial::write(const uint8_t* data, size_t size) {
  for (size_t i = 0; i < size; ++i) write(data[i]);
  return size;
}

int main() {
  setup();
  for (;;) loop();
}
