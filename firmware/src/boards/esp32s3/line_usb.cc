// The USB port of the chip itself; it has no baud rate.
#include "driver/usb_serial_jtag.h"
#include "freertos/FreeRTOS.h"
#include "line.h"

namespace line {
namespace {

constexpr uint32_t kBuffer = 4096;  // more than a host has under way, or the board answers
constexpr TickType_t kPatience = pdMS_TO_TICKS(200);

}  // namespace

void Open() {
  usb_serial_jtag_driver_config_t config{};
  config.rx_buffer_size = kBuffer;
  config.tx_buffer_size = kBuffer;
  ESP_ERROR_CHECK(usb_serial_jtag_driver_install(&config));
}

size_t Read(uint8_t* data, size_t capacity) {
  int size = 0;
  while (size <= 0) {
    size = usb_serial_jtag_read_bytes(data, static_cast<uint32_t>(capacity), portMAX_DELAY);
  }
  return static_cast<size_t>(size);
}

// What no host reads within kPatience is dropped: a board without a host must not hang.
void Write(const uint8_t* data, size_t size) { usb_serial_jtag_write_bytes(data, size, kPatience); }

}  // namespace line
