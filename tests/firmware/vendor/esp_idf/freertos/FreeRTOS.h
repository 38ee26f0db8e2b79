#ifndef VENDOR_FREERTOS_H_
#define VENDOR_FREERTOS_H_

#include <cstdint>

typedef uint32_t TickType_t;
#define portMAX_DELAY static_cast<TickType_t>(0xFFFFFFFFU)
#define pdMS_TO_TICKS(ms) (static_cast<TickType_t>(ms) / 10)

#endif  // VENDOR_FREERTOS_H_
