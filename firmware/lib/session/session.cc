#include "session.h"

#include <string.h>  // memcpy, strlen

#include "board.h"
#include "camera_frame.h"
#include "engine.h"
#include "wire.h"

namespace session {
namespace {

constexpr size_t kMaxProfiledSteps = 512;
constexpr size_t kSha256Prefix = 8;
constexpr size_t kResultHead = 4 + 2 + 2;

wire::Decoder decoder;
const char* engine_error;  // null once the engine has started
engine::Info model;
size_t loaded;       // bytes of the input filled from its start, without a gap, since the last run
CameraFrame camera;  // fills the input instead of Loads

uint32_t step_ticks[kMaxProfiledSteps];

// The last answer as it was sent, and its request. If the same request comes again, the answer was
// lost: it is sent again, and nothing is done twice.
uint8_t answer[wire::kMaxFrame];
size_t answer_size;
uint8_t answered_type;
uint8_t answered_seq;
uint32_t answered_crc;

uint8_t payload[wire::kMaxPayload];

size_t AtMost(size_t size, size_t limit) { return size < limit ? size : limit; }

void Send(uint8_t type, uint8_t seq, const uint8_t* data, size_t size) {
  answer_size = wire::Encode(type, seq, data, size, answer);
  board::Write(answer, answer_size);
}

void SendNack(uint8_t seq, wire::NackCode code, const char* why = "") {
  payload[0] = code;
  const size_t length = AtMost(strlen(why), wire::kMaxPayload - 1);
  memcpy(payload + 1, why, length);
  Send(wire::kNack, seq, payload, 1 + length);
}

void OnHello(const wire::Frame& request) {
  wire::Writer info(payload, sizeof(payload));
  info.U8(wire::kProtocolVersion);
  info.U8(static_cast<uint8_t>(board::Unit()));
  info.U16(model.height);
  info.U16(model.width);
  info.U16(model.channels);
  info.U16(model.class_count);
  info.U16(model.step_count);
  info.Bytes(model.model_sha256, kSha256Prefix);
  info.U32(board::BootNumber());
  info.U32(model.arena_bytes);
  info.U32(board::StackBytes());
  info.Text(board::Name());
  info.Text(model.name);
  info.Text(engine_error == nullptr ? "" : engine_error);
  info.U32(board::ChipId());
  info.U32(board::ClockHz());
  Send(wire::kInfo, request.seq, payload, info.size());
}

// payload := offset:u32  bytes[1..1020]
void OnLoad(const wire::Frame& request) {
  if (engine_error != nullptr) return SendNack(request.seq, wire::kEngineFailed, engine_error);
  if (request.size <= 4) return SendNack(request.seq, wire::kBadPayload);
  const size_t offset = wire::ReadU32(request.payload);
  const size_t size = request.size - 4;
  const size_t capacity = engine::InputBytes(model);
  if (offset > capacity || size > capacity - offset) {
    return SendNack(request.seq, wire::kBadPayload);
  }
  if (offset > loaded) return SendNack(request.seq, wire::kOutOfOrder);
  if (offset == 0) loaded = 0;  // a new image
  camera.Drop();
  memcpy(engine::Input() + offset, request.payload + 4, size);
  if (offset + size > loaded) loaded = offset + size;
  Send(wire::kAck, request.seq, nullptr, 0);
}

// payload: see camera_frame.h. A new frame; whatever the input held is forgotten.
void OnFrame(const wire::Frame& request) {
  if (engine_error != nullptr) return SendNack(request.seq, wire::kEngineFailed, engine_error);
  const char* const error = camera.Begin(request.payload, request.size, model);
  if (error != nullptr) return SendNack(request.seq, wire::kBadPayload, error);
  loaded = 0;
  Send(wire::kFrameBegun, request.seq, nullptr, 0);
}

// payload := offset:u32  bytes[1..1020] of the frame
void OnPart(const wire::Frame& request) {
  if (engine_error != nullptr) return SendNack(request.seq, wire::kEngineFailed, engine_error);
  if (request.size <= 4) return SendNack(request.seq, wire::kBadPayload);
  if (!camera.begun()) return SendNack(request.seq, wire::kOutOfOrder);
  const size_t offset = wire::ReadU32(request.payload);
  const size_t size = request.size - 4;
  if (offset > camera.bytes() || size > camera.bytes() - offset) {
    return SendNack(request.seq, wire::kBadPayload);
  }
  if (offset > camera.taken()) return SendNack(request.seq, wire::kOutOfOrder);
  camera.Take(offset, request.payload + 4, size);
  if (camera.whole()) loaded = engine::InputBytes(model);
  Send(wire::kPartTaken, request.seq, nullptr, 0);
}

// payload := count:u16. The first run is on the image and overwrites the input. The other runs are
// only timed, so they use whatever the first one left.
void OnRun(const wire::Frame& request) {
  if (engine_error != nullptr) return SendNack(request.seq, wire::kEngineFailed, engine_error);
  if (request.size != 2) return SendNack(request.seq, wire::kBadPayload);
  const size_t count = wire::ReadU16(request.payload);
  if (count == 0 || kResultHead + model.class_count + 4 * count > wire::kMaxPayload) {
    return SendNack(request.seq, wire::kBadPayload);
  }
  const size_t input_bytes = engine::InputBytes(model);
  if (loaded != input_bytes) return SendNack(request.seq, wire::kNotLoaded);
  loaded = 0;
  camera.Drop();
  wire::Writer result(payload, sizeof(payload));
  result.U32(wire::Crc32(reinterpret_cast<const uint8_t*>(engine::Input()), input_bytes));
  result.U16(model.class_count);
  result.U16(static_cast<uint16_t>(count));
  for (size_t i = 0; i < count; ++i) {
    const uint32_t before = board::Clock();
    const char* error = engine::Invoke();
    const uint32_t ticks = board::Clock() - before;
    if (error != nullptr) return SendNack(request.seq, wire::kEngineFailed, error);
    if (i == 0) {
      result.Bytes(reinterpret_cast<const uint8_t*>(engine::Output()), model.class_count);
    }
    result.U32(board::Cost(ticks));
  }
  Send(wire::kResult, request.seq, payload, result.size());
}

// payload := first:u16. For step 0 it runs the model once, on whatever the input holds, and
// measures each step; for a later step it sends the rest of that measurement.
void OnProfile(const wire::Frame& request) {
  if (engine_error != nullptr) return SendNack(request.seq, wire::kEngineFailed, engine_error);
  if (request.size != 2) return SendNack(request.seq, wire::kBadPayload);
  const size_t first = wire::ReadU16(request.payload);
  const size_t count = model.step_count < kMaxProfiledSteps ? model.step_count : kMaxProfiledSteps;
  if (first >= count) return SendNack(request.seq, wire::kBadPayload);
  if (first == 0) {
    loaded = 0;
    camera.Drop();
    const char* error = engine::InvokeProfiled(board::Clock, step_ticks, kMaxProfiledSteps);
    if (error != nullptr) return SendNack(request.seq, wire::kEngineFailed, error);
  }
  wire::Writer profile(payload, sizeof(payload));
  profile.U16(static_cast<uint16_t>(count));
  profile.U16(static_cast<uint16_t>(first));
  size_t size = profile.size();
  for (size_t i = first; i < count; ++i) {
    const engine::Step step = engine::StepAt(static_cast<uint16_t>(i));
    profile.U32(board::Cost(step_ticks[i]));
    profile.Text(step.name);
    profile.Text(step.operators);
    if (profile.overflowed()) break;  // the host asks for the rest
    size = profile.size();
  }
  Send(wire::kProfileAnswer, request.seq, payload, size);
}

void Handle(const wire::Frame& request) {
  switch (request.type) {
    case wire::kHello:
      return OnHello(request);
    case wire::kLoad:
      return OnLoad(request);
    case wire::kRun:
      return OnRun(request);
    case wire::kProfile:
      return OnProfile(request);
    case wire::kFrame:
      return OnFrame(request);
    case wire::kPart:
      return OnPart(request);
    case wire::kEcho:
      return Send(wire::kEchoAnswer, request.seq, request.payload, request.size);
    default:
      return SendNack(request.seq, wire::kUnknownType);
  }
}

}  // namespace

void Start(const char* error) {
  engine_error = error;
  model = engine::Describe();
  loaded = 0;
  camera.Drop();
  // Tells a waiting host that the board has restarted; it does not matter if nobody listens.
  const char* const text = board::Name();
  uint8_t log[wire::kHeaderSize + 255 + wire::kCrcSize + 4];
  board::Write(log, wire::Encode(wire::kLog, 0, reinterpret_cast<const uint8_t*>(text),
                                 AtMost(strlen(text), 255), log));
  answer_size = 0;
}

void Receive(const uint8_t* data, size_t size) {
  const uint8_t* const end = data + size;
  while (data != end) {
    const wire::Decoder::Event event = decoder.Feed(&data, end);
    if (event == wire::Decoder::Event::kBadFrame) {
      // Not through Send(): the host may still request the stored answer again.
      uint8_t nack[wire::kHeaderSize + 1 + wire::kCrcSize + 2];
      const uint8_t code = wire::kBadFrame;
      board::Write(nack, wire::Encode(wire::kNack, 0, &code, 1, nack));
      continue;
    }
    if (event != wire::Decoder::Event::kFrame) continue;
    const wire::Frame& request = decoder.frame();
    const uint32_t crc = wire::Crc32(request.payload, request.size);
    if (answer_size != 0 && request.type == answered_type && request.seq == answered_seq &&
        crc == answered_crc) {
      board::Write(answer, answer_size);
      continue;
    }
    answered_type = request.type;
    answered_seq = request.seq;
    answered_crc = crc;
    Handle(request);
  }
}

}  // namespace session
