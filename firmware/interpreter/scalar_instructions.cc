// The Xtensa base instructions that the kernels use, and the two that read the accumulator ACCX.
#include "instructions.h"

namespace xtensa {
namespace {

using M = Machine;
using I = Instruction;

int32_t Signed(uint32_t x) { return static_cast<int32_t>(x); }
uint32_t Unsigned(int64_t x) { return static_cast<uint32_t>(x); }

// Calls and moves ---------------------------------------------------------------------------------

void Entry(M& m, const I& i) { A(m, i, 0) -= Immediate(i); }
void Return(M& m, const I&) { m.returned = true; }
void Move(M& m, const I& i) { A(m, i, 0) = A(m, i, 1); }
void MoveNumber(M& m, const I& i) { A(m, i, 0) = Immediate(i); }

// Two registers to one ----------------------------------------------------------------------------

uint32_t Add(uint32_t x, uint32_t y) { return x + y; }
uint32_t Subtract(uint32_t x, uint32_t y) { return x - y; }
uint32_t And(uint32_t x, uint32_t y) { return x & y; }
uint32_t Or(uint32_t x, uint32_t y) { return x | y; }
uint32_t Xor(uint32_t x, uint32_t y) { return x ^ y; }
uint32_t MultiplyLow(uint32_t x, uint32_t y) { return x * y; }
uint32_t MultiplyHigh(uint32_t x, uint32_t y) {
  return Unsigned((int64_t{Signed(x)} * Signed(y)) >> 32);
}
uint32_t Minimum(uint32_t x, uint32_t y) { return Unsigned(std::min(Signed(x), Signed(y))); }
uint32_t Maximum(uint32_t x, uint32_t y) { return Unsigned(std::max(Signed(x), Signed(y))); }
template <int kShift>
uint32_t AddShifted(uint32_t x, uint32_t y) {
  return (x << kShift) + y;
}

template <uint32_t (*kCompute)(uint32_t, uint32_t)>
void Three(M& m, const I& i) {
  A(m, i, 0) = kCompute(A(m, i, 1), A(m, i, 2));
}

// One register to one -----------------------------------------------------------------------------

void AddNumber(M& m, const I& i) { A(m, i, 0) = A(m, i, 1) + Immediate(i); }
void Negate(M& m, const I& i) { A(m, i, 0) = 0 - A(m, i, 1); }
void ShiftLeft(M& m, const I& i) { A(m, i, 0) = A(m, i, 1) << i.imm; }
void ShiftRight(M& m, const I& i) { A(m, i, 0) = A(m, i, 1) >> i.imm; }
void ShiftRightSigned(M& m, const I& i) { A(m, i, 0) = Unsigned(Signed(A(m, i, 1)) >> i.imm); }
void ExtractBits(M& m, const I& i) {
  A(m, i, 0) = (A(m, i, 1) >> i.imm) & static_cast<uint32_t>(Mask(i.imm2));
}
void ExtendSign(M& m, const I& i) { A(m, i, 0) = Unsigned(SignExtended(A(m, i, 1), i.imm + 1)); }
void Clamp(M& m, const I& i) { A(m, i, 0) = Unsigned(Saturated(Signed(A(m, i, 1)), i.imm + 1)); }

// Shifts by the register SAR ----------------------------------------------------------------------

void SetShiftRight(M& m, const I& i) { m.sar = A(m, i, 0) & 31; }
void SetShiftLeft(M& m, const I& i) { m.sar = 32 - (A(m, i, 0) & 31); }
void SetShiftNumber(M& m, const I& i) { m.sar = Immediate(i); }
void ShiftRightBySar(M& m, const I& i) {
  A(m, i, 0) = Unsigned(int64_t{Signed(A(m, i, 1))} >> m.sar);
}
void ShiftLeftBySar(M& m, const I& i) {
  A(m, i, 0) = static_cast<uint32_t>(uint64_t{A(m, i, 1)} << (32 - m.sar));
}
void ShiftPairBySar(M& m, const I& i) {
  A(m, i, 0) = static_cast<uint32_t>(((uint64_t{A(m, i, 1)} << 32) | A(m, i, 2)) >> m.sar);
}

// Memory ------------------------------------------------------------------------------------------

template <typename T>
void LoadUnsigned(M& m, const I& i) {
  A(m, i, 0) = Load<T>(A(m, i, 1) + Immediate(i));
}
template <typename T>
void StoreLowBits(M& m, const I& i) {
  Store(A(m, i, 1) + Immediate(i), static_cast<T>(A(m, i, 0)));
}

// Branches and the hardware loop ------------------------------------------------------------------

bool IsZero(uint32_t x) { return x == 0; }
bool IsNotZero(uint32_t x) { return x != 0; }
bool IsNegative(uint32_t x) { return Signed(x) < 0; }
bool IsNotNegative(uint32_t x) { return Signed(x) >= 0; }
bool Equal(uint32_t x, uint32_t y) { return x == y; }
bool NotEqual(uint32_t x, uint32_t y) { return x != y; }
bool Less(uint32_t x, uint32_t y) { return Signed(x) < Signed(y); }
bool NotLess(uint32_t x, uint32_t y) { return Signed(x) >= Signed(y); }
bool LessUnsigned(uint32_t x, uint32_t y) { return x < y; }

void Jump(M& m, const I& i) { m.pc = i.target; }
template <bool (*kHolds)(uint32_t)>
void BranchIf(M& m, const I& i) {
  if (kHolds(A(m, i, 0))) m.pc = i.target;
}
template <bool (*kHolds)(uint32_t, uint32_t)>
void BranchIf(M& m, const I& i) {
  if (kHolds(A(m, i, 0), A(m, i, 1))) m.pc = i.target;
}

void Loop(M& m, const I& i) {
  m.loop_begin = m.pc;
  m.loop_end = i.target;
  m.loop_count = A(m, i, 0) - 1;
}
void LoopIfNotZero(M& m, const I& i) {
  Loop(m, i);
  if (A(m, i, 0)) return;
  m.loop_count = 0;
  m.pc = i.target;
}

// ACCX --------------------------------------------------------------------------------------------

void ReadAccxLow(M& m, const I& i) { A(m, i, 0) = Unsigned(m.accx); }
void ReadAccxHigh(M& m, const I& i) {
  A(m, i, 0) = static_cast<uint32_t>(static_cast<uint64_t>(m.accx) >> 32 & 0xff);
}

}  // namespace

std::vector<Form> ScalarForms() {
  return {
      {"entry", "ai", 0, 32760, 8, 3, Entry},
      {"retw", "", 0, 0, 1, 3, Return},
      {"retw.n", "", 0, 0, 1, 2, Return},
      {"mov", "aa", 0, 0, 1, 3, Move},
      {"movi", "ai", -2048, 2047, 1, 3, MoveNumber},

      {"add", "aaa", 0, 0, 1, 3, Three<Add>},
      {"sub", "aaa", 0, 0, 1, 3, Three<Subtract>},
      {"addx2", "aaa", 0, 0, 1, 3, Three<AddShifted<1>>},
      {"addx4", "aaa", 0, 0, 1, 3, Three<AddShifted<2>>},
      {"addx8", "aaa", 0, 0, 1, 3, Three<AddShifted<3>>},
      {"and", "aaa", 0, 0, 1, 3, Three<And>},
      {"or", "aaa", 0, 0, 1, 3, Three<Or>},
      {"xor", "aaa", 0, 0, 1, 3, Three<Xor>},
      {"mull", "aaa", 0, 0, 1, 3, Three<MultiplyLow>},
      {"mulsh", "aaa", 0, 0, 1, 3, Three<MultiplyHigh>},
      {"min", "aaa", 0, 0, 1, 3, Three<Minimum>},
      {"max", "aaa", 0, 0, 1, 3, Three<Maximum>},

      {"addi", "aai", -128, 127, 1, 3, AddNumber},
      {"addmi", "aai", -32768, 32512, 256, 3, AddNumber},
      {"neg", "aa", 0, 0, 1, 3, Negate},
      {"slli", "aai", 1, 31, 1, 3, ShiftLeft},
      {"srli", "aai", 0, 15, 1, 3, ShiftRight},
      {"srai", "aai", 0, 31, 1, 3, ShiftRightSigned},
      {"extui", "aann", 0, 0, 1, 3, ExtractBits},
      {"sext", "aai", 7, 22, 1, 3, ExtendSign},
      {"clamps", "aai", 7, 22, 1, 3, Clamp},

      {"ssr", "a", 0, 0, 1, 3, SetShiftRight},
      {"ssl", "a", 0, 0, 1, 3, SetShiftLeft},
      {"ssai", "i", 0, 31, 1, 3, SetShiftNumber},
      {"sra", "aa", 0, 0, 1, 3, ShiftRightBySar},
      {"sll", "aa", 0, 0, 1, 3, ShiftLeftBySar},
      {"src", "aaa", 0, 0, 1, 3, ShiftPairBySar},

      {"l8ui", "aai", 0, 255, 1, 3, LoadUnsigned<uint8_t>},
      {"l32i", "aai", 0, 1020, 4, 3, LoadUnsigned<uint32_t>},
      {"l32i.n", "aai", 0, 60, 4, 2, LoadUnsigned<uint32_t>},
      {"s8i", "aai", 0, 255, 1, 3, StoreLowBits<uint8_t>},
      {"s32i", "aai", 0, 1020, 4, 3, StoreLowBits<uint32_t>},

      {"j", "t", 0, 0, 1, 3, Jump},
      {"beqz", "at", 0, 0, 1, 3, BranchIf<IsZero>},
      {"bnez", "at", 0, 0, 1, 3, BranchIf<IsNotZero>},
      {"bltz", "at", 0, 0, 1, 3, BranchIf<IsNegative>},
      {"bgez", "at", 0, 0, 1, 3, BranchIf<IsNotNegative>},
      {"beq", "aat", 0, 0, 1, 3, BranchIf<Equal>},
      {"bne", "aat", 0, 0, 1, 3, BranchIf<NotEqual>},
      {"blt", "aat", 0, 0, 1, 3, BranchIf<Less>},
      {"bge", "aat", 0, 0, 1, 3, BranchIf<NotLess>},
      {"bltu", "aat", 0, 0, 1, 3, BranchIf<LessUnsigned>},
      {"loop", "at", 0, 0, 1, 3, Loop},
      {"loopnez", "at", 0, 0, 1, 3, LoopIfNotZero},

      {"rur.accx_0", "a", 0, 0, 1, 3, ReadAccxLow},
      {"rur.accx_1", "a", 0, 0, 1, 3, ReadAccxHigh},
  };
}

}  // namespace xtensa
