#pragma once
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace model {

using OpResolver = tflite::MicroMutableOpResolver<2>;
inline TfLiteStatus RegisterOperators(OpResolver& resolver) {
  return resolver.AddConv2D() == kTfLiteOk ? resolver.AddMean() : kTfLiteError;
}

}  // namespace model
