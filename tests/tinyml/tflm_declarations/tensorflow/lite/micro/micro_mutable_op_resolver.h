// The least of TFLite Micro that a generated op resolver needs to compile and be looked at.
#ifndef TFLM_DECLARATIONS_MICRO_MUTABLE_OP_RESOLVER_H_
#define TFLM_DECLARATIONS_MICRO_MUTABLE_OP_RESOLVER_H_

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

namespace tflite {

template <unsigned int kCapacity>
class MicroMutableOpResolver {
 public:
  TfLiteStatus AddAbs() { return Add("ABS"); }
  TfLiteStatus AddAdd() { return Add("ADD"); }
  TfLiteStatus AddAddN() { return Add("ADD_N"); }
  TfLiteStatus AddArgMax() { return Add("ARG_MAX"); }
  TfLiteStatus AddArgMin() { return Add("ARG_MIN"); }
  TfLiteStatus AddAveragePool2D() { return Add("AVERAGE_POOL_2D"); }
  TfLiteStatus AddBatchMatMul() { return Add("BATCH_MATMUL"); }
  TfLiteStatus AddBatchToSpaceNd() { return Add("BATCH_TO_SPACE_ND"); }
  TfLiteStatus AddBroadcastArgs() { return Add("BROADCAST_ARGS"); }
  TfLiteStatus AddBroadcastTo() { return Add("BROADCAST_TO"); }
  TfLiteStatus AddCast() { return Add("CAST"); }
  TfLiteStatus AddCeil() { return Add("CEIL"); }
  TfLiteStatus AddConcatenation() { return Add("CONCATENATION"); }
  TfLiteStatus AddConv2D() { return Add("CONV_2D"); }
  TfLiteStatus AddCos() { return Add("COS"); }
  TfLiteStatus AddCumSum() { return Add("CUMSUM"); }
  TfLiteStatus AddDepthwiseConv2D() { return Add("DEPTHWISE_CONV_2D"); }
  TfLiteStatus AddDepthToSpace() { return Add("DEPTH_TO_SPACE"); }
  TfLiteStatus AddDequantize() { return Add("DEQUANTIZE"); }
  TfLiteStatus AddDiv() { return Add("DIV"); }
  TfLiteStatus AddElu() { return Add("ELU"); }
  TfLiteStatus AddEqual() { return Add("EQUAL"); }
  TfLiteStatus AddExp() { return Add("EXP"); }
  TfLiteStatus AddExpandDims() { return Add("EXPAND_DIMS"); }
  TfLiteStatus AddFill() { return Add("FILL"); }
  TfLiteStatus AddFloor() { return Add("FLOOR"); }
  TfLiteStatus AddFloorDiv() { return Add("FLOOR_DIV"); }
  TfLiteStatus AddFloorMod() { return Add("FLOOR_MOD"); }
  TfLiteStatus AddFullyConnected() { return Add("FULLY_CONNECTED"); }
  TfLiteStatus AddGather() { return Add("GATHER"); }
  TfLiteStatus AddGatherNd() { return Add("GATHER_ND"); }
  TfLiteStatus AddGreater() { return Add("GREATER"); }
  TfLiteStatus AddGreaterEqual() { return Add("GREATER_EQUAL"); }
  TfLiteStatus AddHardSwish() { return Add("HARD_SWISH"); }
  TfLiteStatus AddL2Normalization() { return Add("L2_NORMALIZATION"); }
  TfLiteStatus AddL2Pool2D() { return Add("L2_POOL_2D"); }
  TfLiteStatus AddLeakyRelu() { return Add("LEAKY_RELU"); }
  TfLiteStatus AddLess() { return Add("LESS"); }
  TfLiteStatus AddLessEqual() { return Add("LESS_EQUAL"); }
  TfLiteStatus AddLog() { return Add("LOG"); }
  TfLiteStatus AddLogicalAnd() { return Add("LOGICAL_AND"); }
  TfLiteStatus AddLogicalNot() { return Add("LOGICAL_NOT"); }
  TfLiteStatus AddLogicalOr() { return Add("LOGICAL_OR"); }
  TfLiteStatus AddLogistic() { return Add("LOGISTIC"); }
  TfLiteStatus AddLogSoftmax() { return Add("LOG_SOFTMAX"); }
  TfLiteStatus AddMaximum() { return Add("MAXIMUM"); }
  TfLiteStatus AddMaxPool2D() { return Add("MAX_POOL_2D"); }
  TfLiteStatus AddMean() { return Add("MEAN"); }
  TfLiteStatus AddMinimum() { return Add("MINIMUM"); }
  TfLiteStatus AddMirrorPad() { return Add("MIRROR_PAD"); }
  TfLiteStatus AddMul() { return Add("MUL"); }
  TfLiteStatus AddNeg() { return Add("NEG"); }
  TfLiteStatus AddNotEqual() { return Add("NOT_EQUAL"); }
  TfLiteStatus AddPack() { return Add("PACK"); }
  TfLiteStatus AddPad() { return Add("PAD"); }
  TfLiteStatus AddPadV2() { return Add("PADV2"); }
  TfLiteStatus AddPrelu() { return Add("PRELU"); }
  TfLiteStatus AddQuantize() { return Add("QUANTIZE"); }
  TfLiteStatus AddReduceMax() { return Add("REDUCE_MAX"); }
  TfLiteStatus AddReduceMin() { return Add("REDUCE_MIN"); }
  TfLiteStatus AddRelu() { return Add("RELU"); }
  TfLiteStatus AddRelu6() { return Add("RELU6"); }
  TfLiteStatus AddReshape() { return Add("RESHAPE"); }
  TfLiteStatus AddResizeBilinear() { return Add("RESIZE_BILINEAR"); }
  TfLiteStatus AddResizeNearestNeighbor() { return Add("RESIZE_NEAREST_NEIGHBOR"); }
  TfLiteStatus AddReverseV2() { return Add("REVERSE_V2"); }
  TfLiteStatus AddRound() { return Add("ROUND"); }
  TfLiteStatus AddRsqrt() { return Add("RSQRT"); }
  TfLiteStatus AddSelectV2() { return Add("SELECT_V2"); }
  TfLiteStatus AddShape() { return Add("SHAPE"); }
  TfLiteStatus AddSin() { return Add("SIN"); }
  TfLiteStatus AddSlice() { return Add("SLICE"); }
  TfLiteStatus AddSoftmax() { return Add("SOFTMAX"); }
  TfLiteStatus AddSpaceToBatchNd() { return Add("SPACE_TO_BATCH_ND"); }
  TfLiteStatus AddSpaceToDepth() { return Add("SPACE_TO_DEPTH"); }
  TfLiteStatus AddSplit() { return Add("SPLIT"); }
  TfLiteStatus AddSplitV() { return Add("SPLIT_V"); }
  TfLiteStatus AddSqrt() { return Add("SQRT"); }
  TfLiteStatus AddSquare() { return Add("SQUARE"); }
  TfLiteStatus AddSquaredDifference() { return Add("SQUARED_DIFFERENCE"); }
  TfLiteStatus AddSqueeze() { return Add("SQUEEZE"); }
  TfLiteStatus AddStridedSlice() { return Add("STRIDED_SLICE"); }
  TfLiteStatus AddSub() { return Add("SUB"); }
  TfLiteStatus AddSum() { return Add("SUM"); }
  TfLiteStatus AddSvdf() { return Add("SVDF"); }
  TfLiteStatus AddTanh() { return Add("TANH"); }
  TfLiteStatus AddTranspose() { return Add("TRANSPOSE"); }
  TfLiteStatus AddTransposeConv() { return Add("TRANSPOSE_CONV"); }
  TfLiteStatus AddUnpack() { return Add("UNPACK"); }
  TfLiteStatus AddZerosLike() { return Add("ZEROS_LIKE"); }

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
