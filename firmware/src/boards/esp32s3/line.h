// The line to the host: line_uart.cc or line_usb.cc is linked.
#ifndef SWIN2MCU_ESP32S3_LINE_H_
#define SWIN2MCU_ESP32S3_LINE_H_

#include <stddef.h>
#include <stdint.h>

namespace line {

void Open();
size_t Read(uint8_t* data, size_t capacity);  // waits for a first byte
void Write(const uint8_t* data, size_t size);

}  // namespace line

#endif  // SWIN2MCU_ESP32S3_LINE_H_
