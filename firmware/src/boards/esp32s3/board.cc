// An ESP32-S3 under ESP-IDF. Settings are in sdkconfig.defaults: 240 MHz, a watchdog that waits for
// a long inference, and no console, because the line belongs to the session.
#include "board.h"

#include "esp_chip_info.h"
#include "esp_clk_tree.h"
#include "esp_random.h"
#include "esp_timer.h"
#include "firmware.h"
#include "line.h"

namespace board {

void Init() { line::Open(); }

const char* Name() { return BOARD_NAME; }

size_t Read(uint8_t* data, size_t capacity) { return line::Read(data, capacity); }
void Write(const uint8_t* data, size_t size) { line::Write(data, size); }

uint32_t Clock() { return static_cast<uint32_t>(esp_timer_get_time()); }
uint32_t Cost(uint32_t ticks) { return ticks; }
CostUnit Unit() { return CostUnit::kMicroseconds; }

uint32_t BootNumber() {
  static const uint32_t number = esp_random();
  return number;
}

uint32_t StackBytes() { return 0; }

uint32_t ChipId() {
  esp_chip_info_t info;
  esp_chip_info(&info);
  return info.revision;
}

uint32_t ClockHz() {
  uint32_t hertz = 0;
  const esp_err_t error =
      esp_clk_tree_src_get_freq_hz(SOC_MOD_CLK_CPU, ESP_CLK_TREE_SRC_FREQ_PRECISION_CACHED, &hertz);
  return error == ESP_OK ? hertz : 0;
}

}  // namespace board

extern "C" void app_main() { RunFirmware(); }
