#include "fake.h"

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "board.h"
#include "engine.h"

namespace {

constexpr uint16_t kHeight = 8, kWidth = 16, kChannels = 3, kClasses = 5, kSteps = 40;
constexpr size_t kInputBytes = kHeight * kWidth * kChannels;

const std::unique_ptr<int8_t[]> input(new int8_t[kInputBytes]());
const std::unique_ptr<int8_t[]> output(new int8_t[kClasses]());
const std::unique_ptr<uint8_t[]> sha256(new uint8_t[32]());
uint32_t ticks;

}  // namespace

namespace fake {

void (*on_write)(const uint8_t* data, size_t size);

void Receive(const uint8_t* data, size_t size) {
  const std::unique_ptr<uint8_t[]> block(new uint8_t[size]);
  for (size_t i = 0; i < size; ++i) block[i] = data[i];
  session::Receive(block.get(), size);
}

void Check(bool truth, const char* what) {
  if (truth) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

}  // namespace fake

namespace board {

void Init() {}
const char* Name() { return "fake"; }
size_t Read(uint8_t*, size_t) { return 0; }
void Write(const uint8_t* data, size_t size) { fake::on_write(data, size); }
uint32_t Clock() { return ticks += 0x01234567; }  // wraps often
uint32_t Cost(uint32_t elapsed) { return elapsed; }
CostUnit Unit() { return CostUnit::kMicroseconds; }
uint32_t BootNumber() { return 1; }
uint32_t StackBytes() { return 0; }
uint32_t ChipId() { return 0; }
uint32_t ClockHz() { return 0; }

}  // namespace board

namespace engine {

const char* Init() { return nullptr; }

Info Describe() {
  return {"fake", sha256.get(), kHeight, kWidth, kChannels, kClasses, kInputBytes, kSteps};
}

int8_t* Input() { return input.get(); }
const int8_t* Output() { return output.get(); }
Scale OutputScale() { return {0.125f, -3}; }

// Reads the whole input and overwrites it, as a real model does.
const char* Invoke() {
  for (size_t i = 0; i < kInputBytes; ++i) {
    output[i % kClasses] = static_cast<int8_t>(output[i % kClasses] ^ input[i]);
    input[i] = 0;
  }
  return nullptr;
}

const char* InvokeProfiled(uint32_t (*clock)(), uint32_t* costs, size_t capacity) {
  for (size_t i = 0; i < kSteps && i < capacity; ++i) costs[i] = clock();
  return Invoke();
}

Step StepAt(uint16_t index) {
  fake::Check(index < kSteps, "a step that does not exist was asked for");
  return {"step_with_a_name_of_some_length", "CONV_2D 0, HARD_SWISH 1"};
}

}  // namespace engine
