// What our boards use of the STM32 and Teensy Arduino cores, declared as those declare it.
#ifndef VENDOR_ARDUINO_H_
#define VENDOR_ARDUINO_H_

#include <cstddef>
#include <cstdint>

class Print {
 public:
  virtual size_t write(uint8_t byte) = 0;
  virtual size_t write(const uint8_t* data, size_t size) = 0;
  virtual void flush() {}
  size_t print(const char* text);
  size_t println(const char* text);
};

class Stream : public Print {
 public:
  virtual int available() = 0;
  virtual int read() = 0;
};

class HardwareSerial : public Stream {
 public:
  void begin(unsigned long baud);
  int available() override;
  int read() override;
  size_t write(uint8_t byte) override;
  size_t write(const uint8_t* data, size_t size) override;
};

extern HardwareSerial Serial;
extern "C" uint32_t micros();
void delay(unsigned long milliseconds);
extern "C" uint32_t SystemCoreClock;        // STM32 (CMSIS)
extern "C" volatile uint32_t F_CPU_ACTUAL;  // Teensy 4

void setup();
void loop();

#endif  // VENDOR_ARDUINO_H_
