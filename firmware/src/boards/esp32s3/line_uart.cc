// UART0, which a bridge on the board connects to USB.
#include "driver/uart.h"
#include "freertos/FreeRTOS.h"
#include "line.h"

namespace line {
namespace {

constexpr uart_port_t kPort = UART_NUM_0;
constexpr int kTransmitPin = 43, kReceivePin = 44;
constexpr int kReceiveBuffer = 4096;  // more than a host has under way

}  // namespace

void Open() {
  uart_config_t config{};
  config.baud_rate = BOARD_BAUD;
  config.data_bits = UART_DATA_8_BITS;
  config.parity = UART_PARITY_DISABLE;
  config.stop_bits = UART_STOP_BITS_1;
  config.flow_ctrl = UART_HW_FLOWCTRL_DISABLE;
  config.source_clk = UART_SCLK_DEFAULT;
  ESP_ERROR_CHECK(uart_driver_install(kPort, kReceiveBuffer, 0, 0, nullptr, 0));
  ESP_ERROR_CHECK(uart_param_config(kPort, &config));
  // Without a console nothing else assigns the port's pins.
  ESP_ERROR_CHECK(
      uart_set_pin(kPort, kTransmitPin, kReceivePin, UART_PIN_NO_CHANGE, UART_PIN_NO_CHANGE));
}

size_t Read(uint8_t* data, size_t capacity) {
  int size = 0;
  while (size <= 0) size = uart_read_bytes(kPort, data, 1, portMAX_DELAY);
  size_t more = 0;
  ESP_ERROR_CHECK(uart_get_buffered_data_len(kPort, &more));
  if (more > capacity - 1) more = capacity - 1;
  if (more == 0) return 1;
  size = uart_read_bytes(kPort, data + 1, static_cast<uint32_t>(more), 0);
  return size > 0 ? 1 + static_cast<size_t>(size) : 1;
}

void Write(const uint8_t* data, size_t size) { uart_write_bytes(kPort, data, size); }

}  // namespace line
