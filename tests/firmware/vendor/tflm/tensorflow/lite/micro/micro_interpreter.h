// The part of TensorFlow Lite Micro that the firmware calls, with faults to be ordered by name.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"

enum TfLiteType { kTfLiteInt8, kTfLiteUInt8, kTfLiteFloat32 };

struct TfLiteQuantizationParams {
  float scale;
  int32_t zero_point;
};

struct TfLiteTensor {
  TfLiteType type;
  union {
    int8_t* int8;
  } data;
  size_t bytes;
  TfLiteQuantizationParams params;
};

namespace tflite {

class MicroInterpreter {
 public:
  MicroInterpreter(const Model*, const OpResolver&, uint8_t* arena, size_t, void*,
                   MicroProfilerInterface* profiler)
      : profiler_(profiler) {
    const bool odd = Fails("input"), wide = Fails("output");
    input_ = {kTfLiteInt8, {reinterpret_cast<int8_t*>(arena)}, odd ? 11u : 12u, {0.5f, 3}};
    if (Fails("unsigned")) {  // no fault: a uint8 model
      input_.type = kTfLiteUInt8;
      output_ = {kTfLiteUInt8, {input_.data.int8 + 16}, 2, {0.25f, 121}};
      return;
    }
    output_ = {wide ? kTfLiteFloat32 : kTfLiteInt8, input_.data, 2, {0.25f, -7}};
  }
  TfLiteStatus initialization_status() const { return Status("start"); }
  TfLiteStatus AllocateTensors() { return Status("allocate"); }
  TfLiteStatus Invoke() {
    output_.data.int8[0] = input_.data.int8[0];
    for (uint32_t i = 0; i < 2; ++i) profiler_->EndEvent(profiler_->BeginEvent("operator"));
    return Status("invoke");
  }
  TfLiteTensor* input(size_t) { return &input_; }
  TfLiteTensor* output(size_t) { return Fails("no output") ? nullptr : &output_; }
  size_t inputs_size() const { return 1; }
  size_t outputs_size() const { return 1; }
  size_t arena_used_bytes() const { return 48; }

 private:
  MicroProfilerInterface* profiler_;
  TfLiteTensor input_, output_;
};

}  // namespace tflite
