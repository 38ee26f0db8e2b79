// A model of two operators, whatever the file holds.
#pragma once
#include <cstdint>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

#define TFLITE_SCHEMA_VERSION 3

namespace tflite {

template <typename T>
struct List {
  const T* items;
  uint32_t count;
  uint32_t size() const { return count; }
  T Get(uint32_t index) const { return items[index]; }
};

struct Text {
  const char* c_str() const { return "made_here"; }
};
struct Tensor {
  const Text* name() const {
    static const Text text;
    return Fails("unnamed") ? nullptr : &text;
  }
};
struct Operator {
  uint32_t opcode_index() const { return 0; }
  const List<int>* outputs() const {
    static const int first = 0;
    static const List<int> list{&first, 1};
    return &list;
  }
};
enum BuiltinOperator : int32_t { ADD = 0, CONV_2D = 3 };
struct OperatorCode {
  BuiltinOperator builtin_code() const { return Fails("old") ? ADD : CONV_2D; }
  int8_t deprecated_builtin_code() const { return CONV_2D; }
};
template <typename T, uint32_t count>
const List<const T*>* ListOf() {
  static const T item;
  static const T* items[count] = {&item, &item};
  static const List<const T*> list{items, count};
  return &list;
}
struct SubGraph {
  const List<const Operator*>* operators() const { return ListOf<Operator, 2>(); }
  const List<const Tensor*>* tensors() const { return ListOf<Tensor, 2>(); }
};
struct Model {
  uint32_t version() const { return Fails("version") ? 2 : TFLITE_SCHEMA_VERSION; }
  const List<const SubGraph*>* subgraphs() const { return ListOf<SubGraph, 2>(); }
  const List<const OperatorCode*>* operator_codes() const { return ListOf<OperatorCode, 2>(); }
};

inline const Model* GetModel(const void*) {
  static const Model model;
  return &model;
}
inline const char* EnumNameBuiltinOperator(BuiltinOperator code) {
  return code == CONV_2D ? "CONV_2D" : "?";
}

}  // namespace tflite
