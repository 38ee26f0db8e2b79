// Starts the engine with the fault its argument names and prints what it says.
#include <cstdio>

#include "engine.h"
#include "model_data.h"
#include "tensorflow/lite/micro/system_setup.h"

namespace model {
const unsigned char kData[kDataBytes] = {0};
const uint8_t kSha256[32] = {0};
}  // namespace model

namespace tflite {
const char* fault;
void InitializeTarget() {}
}  // namespace tflite

namespace {
uint32_t Tick() {
  static uint32_t now;
  return now += 5;
}
}  // namespace

int main(int, char** arguments) {
  tflite::fault = arguments[1];
  const char* const error = engine::Init();
  std::printf("start: %s\n", error != nullptr ? error : "ok");
  std::printf("steps: %d\n", engine::Describe().step_count);
  if (error != nullptr) return 0;
  uint32_t ticks[2] = {0, 99};  // the second is beyond the capacity that is told
  engine::Input()[0] = 5;
  const char* const failed = engine::InvokeProfiled(Tick, ticks, 1);
  std::printf("run: %s\n", failed != nullptr ? failed : "ok");
  std::printf("ticks: %u %u\n", static_cast<unsigned>(ticks[0]), static_cast<unsigned>(ticks[1]));
  std::printf("step: %s %s\n", engine::StepAt(1).name, engine::StepAt(1).operators);
  // The stand-in copies its first input byte, as it sees it, to its first output byte.
  std::printf("bytes: %d %d\n", engine::Input()[0], engine::Output()[0]);
  std::printf("zero point: %d\n", static_cast<int>(engine::OutputScale().zero_point));
}
