// What an instruction is to the assembler, and what the scalar core and the vector unit share:
// operands, checked accesses to memory, numbers of less than 64 bits. Names, operands and numbers
// are those of GNU's assembler.
#ifndef FIRMWARE_INTERPRETER_INSTRUCTIONS_H_
#define FIRMWARE_INTERPRETER_INSTRUCTIONS_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "machine.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace xtensa {

// What an instruction is in the text: its operands (a, q: registers; i: a number; n: a number whose
// range is not checked; t: a label) and the numbers that the assembler accepts.
struct Form {
  const char* name;
  const char* operands;
  int low, high, step;  // of the number
  int bytes;
  void (*run)(Machine& m, const Instruction& i);
};
std::vector<Form> ScalarForms();
std::vector<Form> VectorForms();

// Operands ----------------------------------------------------------------------------------------

// The register that stands at this place among the registers of the text.
inline uint32_t& A(Machine& m, const Instruction& i, size_t place) { return m.a[i.r[place]]; }
inline Vector& Q(Machine& m, const Instruction& i, size_t place) { return m.q[i.r[place]]; }
inline uint32_t Immediate(const Instruction& i) { return static_cast<uint32_t>(i.imm); }

// Memory ------------------------------------------------------------------------------------------

// Throws a std::string if the address is not aligned or lies outside of any object.
inline uint8_t* At(uint32_t address, uint32_t bytes) {
  if (address % bytes) throw std::string("not aligned: ") + std::to_string(address);
  uint8_t* place = reinterpret_cast<uint8_t*>(static_cast<uintptr_t>(address));
#if defined(__SANITIZE_ADDRESS__)
  if (__asan_region_is_poisoned(place, bytes)) throw std::string("outside of any object");
#endif
  return place;
}

template <typename T>
T Load(uint32_t address) {
  T value;
  memcpy(&value, At(address, sizeof(T)), sizeof(T));
  return value;
}

template <typename T>
void Store(uint32_t address, const T& value) {
  memcpy(At(address, sizeof(T)), &value, sizeof(T));
}

// Numbers -----------------------------------------------------------------------------------------

inline int64_t SignExtended(uint64_t x, int bits) {
  return static_cast<int64_t>(x << (64 - bits)) >> (64 - bits);
}
inline int64_t Saturated(int64_t x, int bits) {
  const int64_t limit = int64_t{1} << (bits - 1);
  return std::min(std::max(x, -limit), limit - 1);
}
inline uint64_t Mask(int bits) { return (uint64_t{1} << bits) - 1; }

}  // namespace xtensa

#endif  // FIRMWARE_INTERPRETER_INSTRUCTIONS_H_
