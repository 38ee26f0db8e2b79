// Definitions behind Arduino.h, so that a whole firmware links.
#include <Arduino.h>

HardwareSerial Serial;
uint32_t SystemCoreClock = 480000000;
volatile uint32_t F_CPU_ACTUAL = 600000000;

uint32_t micros() { return 0; }
void HardwareSerial::begin(unsigned long) {}
int HardwareSerial::available() { return 0; }
int HardwareSerial::read() { return -1; }
size_t HardwareSerial::write(uint8_t) { return 1; }
size_t HardwareSerial::write(const uint8_t*, size_t size) { return size; }

int main() {
  setup();
  for (;;) loop();
}
