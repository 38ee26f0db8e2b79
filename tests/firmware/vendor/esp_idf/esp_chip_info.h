#include <cstdint>

enum esp_chip_model_t { CHIP_ESP32S3 = 9 };

struct esp_chip_info_t {
  esp_chip_model_t model;
  uint32_t features;
  uint16_t revision;  // major * 100 + minor
  uint8_t cores;
};

extern "C" void esp_chip_info(esp_chip_info_t* out_info);
