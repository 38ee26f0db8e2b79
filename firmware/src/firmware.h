// The firmware itself; what calls it differs: main(), Arduino's loop(), ESP-IDF's app_main().
#ifndef SWIN2MCU_FIRMWARE_H_
#define SWIN2MCU_FIRMWARE_H_

[[noreturn]] void RunFirmware();

#endif  // SWIN2MCU_FIRMWARE_H_
