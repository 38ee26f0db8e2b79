#pragma once
#include <cstring>

enum TfLiteStatus { kTfLiteOk, kTfLiteError };

namespace tflite {

extern const char* fault;  // the name of what fails
inline bool Fails(const char* name) { return std::strcmp(fault, name) == 0; }
inline TfLiteStatus Status(const char* name) { return Fails(name) ? kTfLiteError : kTfLiteOk; }

struct OpResolver {};

template <unsigned>
struct MicroMutableOpResolver : OpResolver {
  TfLiteStatus AddConv2D() { return Status("register"); }
  TfLiteStatus AddMean() { return kTfLiteOk; }
};

}  // namespace tflite
