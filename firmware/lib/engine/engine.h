// What runs the model. One implementation is linked: aot/ or tflm/.
#ifndef SWIN2MCU_ENGINE_H_
#define SWIN2MCU_ENGINE_H_

#include <stddef.h>
#include <stdint.h>

namespace engine {

struct Info {
  const char* name;             // "aot" or "tflm"
  const uint8_t* model_sha256;  // 32 bytes
  uint16_t height;
  uint16_t width;
  uint16_t channels;
  uint16_t class_count;
  uint32_t arena_bytes;
  uint16_t step_count;
};

struct Step {
  const char* name;
  const char* operators;  // the .tflite operators it stands for
};

// How logits follow from the output's integers: logit = scale * (value - zero_point).
struct Scale {
  float scale;
  int32_t zero_point;
};

// Returns null, or why the engine cannot run. Describe() is valid in both cases, the rest only
// after success.
const char* Init();
Info Describe();

Scale OutputScale();
// height * width * channels int8 values (uint8 ones less 128); a run overwrites them
int8_t* Input();
const int8_t* Output();  // class_count logits, valid until the input is written again

// Runs the model once. Returns null or what went wrong.
const char* Invoke();
// The same, with the cost of each step in ticks of `clock`; `ticks` holds `capacity` of them.
const char* InvokeProfiled(uint32_t (*clock)(), uint32_t* ticks, size_t capacity);
Step StepAt(uint16_t index);

inline size_t InputBytes(const Info& info) {
  return static_cast<size_t>(info.height) * info.width * info.channels;
}

}  // namespace engine

#endif  // SWIN2MCU_ENGINE_H_
