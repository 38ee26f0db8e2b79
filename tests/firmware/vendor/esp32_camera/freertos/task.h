#ifndef VENDOR_CAMERA_TASK_H_
#define VENDOR_CAMERA_TASK_H_

#include "freertos/FreeRTOS.h"

void vTaskDelay(const TickType_t ticks);

#endif  // VENDOR_CAMERA_TASK_H_
