// A Seeed XIAO ESP32S3 Sense prints what its camera sees. For ESP-IDF with the component
// espressif/esp32-camera. It has been compiled against declarations only and has never been run.
#include <stdio.h>

#include "esp_camera.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "swin2mcu.h"
#include "vision/vision.h"

enum { kWidth = 320, kHeight = 240, kScratchBytes = 16 * 1024 };

static const camera_config_t kCamera = {
    .pin_pwdn = -1,
    .pin_reset = -1,
    .pin_xclk = 10,
    .pin_sccb_sda = 40,
    .pin_sccb_scl = 39,
    .pin_d7 = 48,
    .pin_d6 = 11,
    .pin_d5 = 12,
    .pin_d4 = 14,
    .pin_d3 = 16,
    .pin_d2 = 18,
    .pin_d1 = 17,
    .pin_d0 = 15,
    .pin_vsync = 38,
    .pin_href = 47,
    .pin_pclk = 13,
    .xclk_freq_hz = 20000000,
    .ledc_timer = LEDC_TIMER_0,
    .ledc_channel = LEDC_CHANNEL_0,
    .pixel_format = PIXFORMAT_RGB565,
    .frame_size = FRAMESIZE_QVGA,
    .fb_count = 1,
    .fb_location = CAMERA_FB_IN_PSRAM,
    .grab_mode = CAMERA_GRAB_WHEN_EMPTY,
};

static uint32_t scratch[kScratchBytes / 4];
static Vision vision;

static const char* start(void) {
  const VisionGeometry geometry = {
      .format = VISION_RGB565_BE,
      .frame_width = kWidth,
      .frame_height = kHeight,
      .width = swin2mcu_facts.width,
      .height = swin2mcu_facts.height,
      .center_crop = swin2mcu_facts.center_crop,
  };
  if (!swin2mcu_self_test()) return "the self-test failed";
  if (esp_camera_init(&kCamera) != ESP_OK) return "no camera answers";
  return vision_start(&vision, &geometry, scratch, sizeof(scratch));
}

void app_main(void) {
  const char* const error = start();
  if (error) {
    printf("cannot start: %s\n", error);
    return;
  }
  for (;;) {
    vTaskDelay(1);  // a slow network never waits for the camera, and the idle task must run
    camera_fb_t* const frame = esp_camera_fb_get();
    if (!frame) continue;
    const bool whole = frame->len == 2u * kWidth * kHeight;
    if (whole) {
      vision_begin(&vision, swin2mcu_input());
      vision_rows(&vision, frame->buf, kHeight);
    }
    esp_camera_fb_return(frame);
    if (!whole) continue;
    const Swin2mcuAnswer answer = swin2mcu_classify();
    printf("%s %.0f%%\n", answer.sure ? answer.label : "not sure", 100.0 * answer.probability);
  }
}
