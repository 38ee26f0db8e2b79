// The engine that interprets the .tflite with TensorFlow Lite Micro, from the files of
// `python -m tinyml.emit_c`.
#include <algorithm>  // max
#include <new>

#include "engine.h"
#include "model.h"
#include "model_data.h"
#include "op_resolver.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace engine {
namespace {

// The interpreter announces each operator's begin and end here.
class StepTimer : public tflite::MicroProfilerInterface {
 public:
  void Start(uint32_t (*clock)(), uint32_t* ticks, size_t capacity) {
    clock_ = clock;
    ticks_ = ticks;
    capacity_ = capacity;
    step_ = 0;
  }
  void Stop() { clock_ = nullptr; }

  uint32_t BeginEvent(const char*) override {
    if (clock_ != nullptr) begin_ = clock_();
    return 0;
  }
  void EndEvent(uint32_t) override {
    if (clock_ == nullptr) return;
    const uint32_t cost = clock_() - begin_;
    if (step_ < capacity_) ticks_[step_] = cost;
    ++step_;
  }

 private:
  uint32_t (*clock_)() = nullptr;
  uint32_t* ticks_ = nullptr;
  size_t capacity_ = 0;
  size_t step_ = 0;
  uint32_t begin_ = 0;
};

MODEL_ARENA_SECTION alignas(16) uint8_t arena[model::kArenaBytes];

// Made by Init() and never destroyed: a static object would need atexit(), which a bare board
// lacks.
alignas(tflite::MicroInterpreter) uint8_t interpreter_place[sizeof(tflite::MicroInterpreter)];
alignas(model::OpResolver) uint8_t resolver_place[sizeof(model::OpResolver)];
alignas(StepTimer) uint8_t timer_place[sizeof(StepTimer)];
StepTimer* timer;
tflite::MicroInterpreter* interpreter;
const tflite::SubGraph* graph;  // of the model, once it may be interpreted
const tflite::Model* file;

bool IsEightBit(const TfLiteTensor& tensor) {
  return tensor.type == kTfLiteInt8 || tensor.type == kTfLiteUInt8;
}

// uint8 tensors are sent as int8, which is 128 less: the uppermost bit is flipped.
void TurnUnsigned(const TfLiteTensor& tensor) {
  if (tensor.type != kTfLiteUInt8) return;
  for (size_t i = 0; i < tensor.bytes; ++i) tensor.data.int8[i] ^= -128;
}

const char* CheckTensors() {
  const TfLiteTensor* const input = interpreter->input(0);
  const TfLiteTensor* const output = interpreter->output(0);
  if (interpreter->inputs_size() != 1 || input == nullptr || !IsEightBit(*input) ||
      input->bytes != size_t{model::kHeight} * model::kWidth * model::kChannels) {
    return "the model's input is not what was generated for it";
  }
  if (interpreter->outputs_size() != 1 || output == nullptr || !IsEightBit(*output) ||
      output->bytes != model::kClassCount) {
    return "the model's output is not what was generated for it";
  }
  return nullptr;
}

}  // namespace

const char* Init() {
  tflite::InitializeTarget();
  file = tflite::GetModel(model::kData);
  if (file->version() != TFLITE_SCHEMA_VERSION) return "the model is of another schema version";
  auto* const resolver = new (resolver_place) model::OpResolver;
  if (model::RegisterOperators(*resolver) != kTfLiteOk) return "an operator was not registered";
  timer = new (timer_place) StepTimer;
  interpreter = new (interpreter_place)
      tflite::MicroInterpreter(file, *resolver, arena, model::kArenaBytes, nullptr, timer);
  if (interpreter->initialization_status() != kTfLiteOk) return "the interpreter does not start";
  if (interpreter->AllocateTensors() != kTfLiteOk) {
    return "the arena is too small, or an operator refuses the model";
  }
  if (const char* const error = CheckTensors()) return error;
  graph = file->subgraphs()->Get(0);
  return nullptr;
}

Info Describe() {
  const uint32_t steps = graph == nullptr ? 0 : graph->operators()->size();
  return {"tflm",
          model::kSha256,
          model::kHeight,
          model::kWidth,
          model::kChannels,
          model::kClassCount,
          static_cast<uint32_t>(graph == nullptr ? model::kArenaBytes
                                                 : interpreter->arena_used_bytes()),
          static_cast<uint16_t>(steps)};
}

Scale OutputScale() {
  const TfLiteTensor& output = *interpreter->output(0);
  const int32_t less = output.type == kTfLiteUInt8 ? 128 : 0;
  return {output.params.scale, output.params.zero_point - less};
}

int8_t* Input() { return interpreter->input(0)->data.int8; }
const int8_t* Output() { return interpreter->output(0)->data.int8; }

const char* Invoke() {
  TurnUnsigned(*interpreter->input(0));
  if (interpreter->Invoke() != kTfLiteOk) return "the interpreter failed";
  TurnUnsigned(*interpreter->output(0));
  return nullptr;
}

const char* InvokeProfiled(uint32_t (*clock)(), uint32_t* ticks, size_t capacity) {
  timer->Start(clock, ticks, capacity);
  const char* const error = Invoke();
  timer->Stop();
  return error;
}

// An operator is named after the tensor that it writes.
Step StepAt(uint16_t index) {
  const auto* const step = graph->operators()->Get(index);
  const auto* const code = file->operator_codes()->Get(step->opcode_index());
  // A file from before there were more than 127 operators has the other field alone, this one is 0.
  const int number = std::max<int>(code->builtin_code(), code->deprecated_builtin_code());
  const auto* const name = graph->tensors()->Get(step->outputs()->Get(0))->name();
  return {name ? name->c_str() : "",  // the schema does not require a name
          tflite::EnumNameBuiltinOperator(static_cast<tflite::BuiltinOperator>(number))};
}

}  // namespace engine
