#include <cstdint>

#include "esp_err.h"

enum soc_module_clk_t { SOC_MOD_CLK_CPU = 1 };

enum esp_clk_tree_src_freq_precision_t {
  ESP_CLK_TREE_SRC_FREQ_PRECISION_CACHED,
  ESP_CLK_TREE_SRC_FREQ_PRECISION_APPROX,
  ESP_CLK_TREE_SRC_FREQ_PRECISION_EXACT,
};

extern "C" esp_err_t esp_clk_tree_src_get_freq_hz(soc_module_clk_t clk_src,
                                                  esp_clk_tree_src_freq_precision_t precision,
                                                  uint32_t* freq_value);
