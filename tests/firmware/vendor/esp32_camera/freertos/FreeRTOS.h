#ifndef VENDOR_CAMERA_FREERTOS_H_
#define VENDOR_CAMERA_FREERTOS_H_

#include <stdint.h>

typedef uint32_t TickType_t;

#endif  // VENDOR_CAMERA_FREERTOS_H_
