// The engine whose model is ahead-of-time C: nothing to start, nothing that can fail.
#include "engine.h"
#include "model.h"

namespace engine {

const char* Init() { return nullptr; }

Info Describe() {
  return {"aot",
          model_sha256,
          model_input_height,
          model_input_width,
          model_input_channels,
          model_class_count,
          model_arena_bytes,
          model_step_count};
}

Scale OutputScale() { return {model_output_scale, model_output_zero_point}; }

int8_t* Input() { return model_input(); }
const int8_t* Output() { return model_output(); }

const char* Invoke() {
  model_run();
  return nullptr;
}

const char* InvokeProfiled(uint32_t (*clock)(), uint32_t* ticks, size_t capacity) {
  uint32_t before = clock();
  for (uint16_t i = 0; i < model_step_count; ++i) {
    model_steps[i].run();
    const uint32_t after = clock();
    if (i < capacity) ticks[i] = after - before;
    before = after;
  }
  return nullptr;
}

Step StepAt(uint16_t index) { return {model_steps[index].name, model_steps[index].operators}; }

}  // namespace engine
