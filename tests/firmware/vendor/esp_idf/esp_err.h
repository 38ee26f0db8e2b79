#ifndef VENDOR_ESP_ERR_H_
#define VENDOR_ESP_ERR_H_

#include <cstdint>

typedef int esp_err_t;
#define ESP_OK 0
#define ESP_ERROR_CHECK(expression) static_cast<void>(ESP_OK == (expression))

#endif  // VENDOR_ESP_ERR_H_
