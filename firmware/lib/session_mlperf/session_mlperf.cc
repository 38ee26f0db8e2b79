// The serial commands of MLPerf Tiny, so that its runner can control the board: docs/MLPERF.md.
#include <string.h>  // strcmp

#include "board.h"
#include "engine.h"
#include "session.h"
#include "text.h"

#ifndef MLPERF_INPUT_BYTES
#define MLPERF_INPUT_BYTES (224 * 224 * 3)
#endif

namespace session {
namespace {

constexpr char kTerminator = '%';
constexpr size_t kMaxCommand = 255;  // the runner's longest has 66 characters
constexpr uint32_t kMaxRuns = 65535;
constexpr uint32_t kDefaultRuns = 1, kDefaultWarmups = 10;  // the public API's

const char* engine_error;  // null once the engine has started
engine::Info model;

char command[kMaxCommand + 1];
size_t command_size;
bool command_too_long;

// Running overwrites the engine's input, but `infer` may be asked again for the same image.
uint8_t pixels[MLPERF_INPUT_BYTES];
size_t loaded;       // bytes that have come since `db load`
bool load_expected;  // `db load` was accepted
bool has_result;

// Timestamps add up the differences between readings, because the clock wraps after a short time.
uint64_t elapsed;
uint32_t last_reading;

void AdvanceTime() {
  const uint32_t reading = board::Clock();
  elapsed += board::Cost(reading - last_reading);
  last_reading = reading;
}

void PrintCount(const char* before, uint64_t count, const char* after) {
  text::Print(before);
  text::PrintNumber(count);
  text::Print(after);
}

void Fail(const char* why) {
  text::Print("e-[");
  text::Print(why);
  text::Print("]\r\n");
}

void OnName() {
  text::Print("m-name-dut-[");
  text::Print(board::Name());
  text::Print("]\r\n");
}

// The first line is the public API's version, which runners search for.
void OnProfile() {
  text::Print("m-profile-[ULPMark for tinyML Firmware V0.0.1]\r\nm-model-[");
  text::PrintHex(model.model_sha256, 8);
  text::Print("]\r\n");
}

void OnTimestamp() {
  AdvanceTime();
  const bool real = board::Unit() == board::CostUnit::kMicroseconds;
  PrintCount(real ? "m-lap-us-" : "m-lap-instructions-", elapsed, "\r\n");
}

void OnHelp() {
  text::Print(
      "name          this board\r\n"
      "profile       version of these commands, and the model's sha256\r\n"
      "timestamp     the time since the start\r\n"
      "db load N     begin an image of N bytes\r\n"
      "db HEX        its next bytes (uint8 pixels, row by row, RGB), two digits each\r\n"
      "infer N [W]   run the image N times and time it, after W runs to warm up\r\n"
      "results       the last run's logits\r\n"
      "help          this\r\n");
}

void OnResults() {
  if (!has_result) return Fail("No results: infer first");
  const engine::Scale scale = engine::OutputScale();
  const int8_t* const logits = engine::Output();
  text::Print("m-results-[");
  for (uint16_t i = 0; i < model.class_count; ++i) {
    if (i != 0) text::Print(",");
    text::PrintFloat(scale.scale * static_cast<float>(logits[i] - scale.zero_point));
  }
  text::Print("]\r\n");
}

void OnDbLoad(const char* word) {
  const size_t wanted = engine::InputBytes(model);
  uint32_t size;
  load_expected = false;
  if (wanted > sizeof(pixels)) return Fail("The model's input is larger than MLPERF_INPUT_BYTES");
  if (word == nullptr) return Fail("Command 'db load' requires the # of bytes");
  if (!text::ParseNumber(word, UINT32_MAX, &size) || size != wanted) {
    return PrintCount("e-[The model takes images of ", wanted, " bytes]\r\n");
  }
  load_expected = true;
  loaded = 0;
  PrintCount("m-[Expecting ", wanted, " bytes]\r\n");
}

void OnDbBytes(const char* digits) {
  if (!load_expected) return Fail("Command 'db load' must come first");
  const size_t count = strlen(digits);
  if (count % 2 != 0) return Fail("Insufficient number of hex digits");
  if (count / 2 > engine::InputBytes(model) - loaded) return Fail("More bytes than expected");
  for (size_t i = 0; i < count; ++i) {
    if (text::HexDigit(digits[i]) < 0) return Fail("Invalid hex digit");
  }
  for (size_t i = 0; i < count; i += 2) {
    pixels[loaded++] =
        static_cast<uint8_t>(text::HexDigit(digits[i]) << 4 | text::HexDigit(digits[i + 1]));
  }
  if (loaded == engine::InputBytes(model)) text::Print("m-load-done\r\n");
}

void OnDb(char* rest) {
  const char* const word = text::NextWord(&rest);
  if (word == nullptr) return Fail("Command 'db' requires a subcommand");
  if (strcmp(word, "load") == 0) return OnDbLoad(text::NextWord(&rest));
  OnDbBytes(word);
}

// Returns false after it has printed an error.
bool RunImage(uint32_t count) {
  const size_t size = engine::InputBytes(model);
  for (uint32_t run = 0; run < count; ++run) {
    int8_t* const input = engine::Input();
    for (size_t i = 0; i < size; ++i) input[i] = static_cast<int8_t>(pixels[i] ^ 0x80);
    const char* const error = engine::Invoke();
    if (error != nullptr) {
      Fail(error);
      return false;
    }
    AdvanceTime();
  }
  return true;
}

void OnInfer(char* rest) {
  uint32_t runs = kDefaultRuns, warmups = kDefaultWarmups;
  const char* const runs_word = text::NextWord(&rest);
  const char* const warmups_word = text::NextWord(&rest);
  if (runs_word != nullptr && (!text::ParseNumber(runs_word, kMaxRuns, &runs) || runs == 0)) {
    return Fail("Inference iterations must be 1 to 65535");
  }
  if (warmups_word != nullptr && !text::ParseNumber(warmups_word, kMaxRuns, &warmups)) {
    return Fail("Inference warmup must be 0 to 65535");
  }
  if (engine_error != nullptr) return Fail(engine_error);
  if (!load_expected || loaded != engine::InputBytes(model)) return Fail("No whole image: db load");
  has_result = false;
  PrintCount("m-warmup-start-", warmups, "\r\n");
  if (!RunImage(warmups)) return;
  text::Print("m-warmup-done\r\n");
  PrintCount("m-infer-start-", runs, "\r\n");
  OnTimestamp();
  if (!RunImage(runs)) return;
  OnTimestamp();
  text::Print("m-infer-done\r\n");
  has_result = true;
  OnResults();
}

void Unknown(char* word) {
  for (char* c = word; *c != '\0'; ++c) {
    if (*c < ' ' || *c > '~') *c = '?';
  }
  text::Print("e-[Unknown command: ");
  text::Print(word);
  text::Print("]\r\n");
}

void Handle() {
  char* rest = command;
  char* const word = text::NextWord(&rest);
  const auto is = [word](const char* name) { return strcmp(word, name) == 0; };
  if (word == nullptr) return Fail("Unknown command: ");
  if (is("name")) return OnName();
  if (is("profile")) return OnProfile();
  if (is("timestamp")) return OnTimestamp();
  if (is("db")) return OnDb(rest);
  if (is("infer")) return OnInfer(rest);
  if (is("results")) return OnResults();
  if (is("help")) return OnHelp();
  Unknown(word);
}

}  // namespace

void Start(const char* error) {
  engine_error = error;
  model = engine::Describe();
  command_size = 0;
  command_too_long = load_expected = has_result = false;
  elapsed = 0;
  last_reading = board::Clock();
  text::Print("m-init-done\r\nm-ready\r\n");
}

void Receive(const uint8_t* data, size_t size) {
  for (const uint8_t* end = data + size; data != end; ++data) {
    const char character = static_cast<char>(*data);
    if (character == '\r' || character == '\n') continue;  // of a person at a terminal
    if (character != kTerminator) {
      if (command_size < kMaxCommand) {
        command[command_size++] = character;
      } else {
        command_too_long = true;
      }
      continue;
    }
    command[command_size] = '\0';
    if (command_too_long) {
      Fail("Command too long");
    } else {
      Handle();
    }
    command_size = 0;
    command_too_long = false;
    text::Print("m-ready\r\n");
  }
}

}  // namespace session
