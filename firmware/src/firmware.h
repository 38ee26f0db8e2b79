// The firmware itself; it is called by main(), Arduino's loop() or ESP-IDF's app_main().
#ifndef SWIN2MCU_FIRMWARE_H_
#define SWIN2MCU_FIRMWARE_H_

[[noreturn]] void RunFirmware();

#endif  // SWIN2MCU_FIRMWARE_H_
