// An ESP32-S3 core as far as firmware/lib/kernels/pie needs it: the Xtensa base instructions that
// leaf functions use and the vector unit's ("PIE"), executed from the text of a .S file.
//
// Addresses are those of this process, so the program must be linked below 4 GB (-no-pie) and the
// kernels' operands must be static. Every access is checked: aligned as the hardware wants it (the
// vector unit itself drops low address bits silently), and, in a build with -fsanitize=address,
// inside an object.
//
// Semantics follow the Xtensa Instruction Set Architecture manual and chapter 1 of the ESP32-S3
// Technical Reference Manual; tests/firmware/xtensa/semantics_main.cc tests them.
#ifndef FIRMWARE_INTERPRETER_MACHINE_H_
#define FIRMWARE_INTERPRETER_MACHINE_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace xtensa {

union Vector {
  int8_t s8[16];
  uint8_t u8[16];
  int16_t s16[8];
  uint16_t u16[8];
  int32_t s32[4];
  uint32_t u32[4];
};

struct Machine {
  std::array<uint32_t, 16> a{};
  std::array<Vector, 8> q{};
  int64_t accx = 0;                // 40 bits, sign-extended
  std::array<uint64_t, 8> qacc{};  // eight lanes of 40 bits or sixteen of 20, low lanes first
  uint32_t sar = 0, sar_byte = 0;
  uint32_t pc = 0;  // index of the instruction
  uint32_t loop_begin = 0, loop_end = 0, loop_count = 0;
  uint64_t instructions = 0;  // executed so far
  bool returned = false;
};

struct Instruction {
  void (*run)(Machine& m, const Instruction& i) = nullptr;
  std::array<uint8_t, 6> r{};  // registers in the order of the text
  int32_t imm = 0, imm2 = 0;
  uint32_t target = 0;  // of a branch
  int bytes = 0;
  int line = 0;
  std::string text;
};

class Program {
 public:
  // Assembles a file; prints its name, the line and what is wrong, and exits if it cannot.
  explicit Program(const std::string& path);

  // Calls a windowed function with up to six arguments in a2 .. a7; returns its a2.
  uint32_t Call(Machine& machine, const std::string& name, const std::vector<uint32_t>& arguments);

 private:
  friend class Assembler;
  std::string path_;
  std::vector<Instruction> code_;
  std::map<std::string, uint32_t> functions_;
};

[[noreturn]] void Fail(const std::string& message);

}  // namespace xtensa

#endif  // FIRMWARE_INTERPRETER_MACHINE_H_
