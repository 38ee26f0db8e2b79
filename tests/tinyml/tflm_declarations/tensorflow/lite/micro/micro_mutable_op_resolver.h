// The least of TFLite Micro that a generated op resolver needs to compile and be looked at.
#ifndef TFLM_DECLARATIONS_MICRO_MUTABLE_OP_RESOLVER_H_
#define TFLM_DECLARATIONS_MICRO_MUTABLE_OP_RESOLVER_H_

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

namespace tflite {

template <unsigned int kCapacity>
class MicroMutableOpResolver {
 public:
  TfLiteStatus AddAdd() { return Add("ADD"); }
  TfLiteStatus AddConv2D() { return Add("CONV_2D"); }
  TfLiteStatus AddDepthwiseConv2D() { return Add("DEPTHWISE_CONV_2D"); }
  TfLiteStatus AddFullyConnected() { return Add("FULLY_CONNECTED"); }
  TfLiteStatus AddHardSwish() { return Add("HARD_SWISH"); }
  TfLiteStatus AddMean() { return Add("MEAN"); }
  TfLiteStatus AddMul() { return Add("MUL"); }
  TfLiteStatus AddReshape() { return Add("RESHAPE"); }

  const char* names[kCapacity];

 private:
  TfLiteStatus Add(const char* name) {
    if (count_ == kCapacity) return kTfLiteError;
    names[count_++] = name;
    return kTfLiteOk;
  }

  unsigned int count_ = 0;
};

}  // namespace tflite

#endif  // TFLM_DECLARATIONS_MICRO_MUTABLE_OP_RESOLVER_H_
