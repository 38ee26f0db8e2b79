// What each instruction does. Names, operands and numbers are those of GNU's assembler.
#include <algorithm>
#include <cstring>

#include "machine.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace xtensa {
namespace {

using M = Machine;
using I = Instruction;

// Memory ------------------------------------------------------------------------------------------

uint8_t* At(uint32_t address, uint32_t bytes, uint32_t alignment) {
  if (address % alignment) throw std::string("not aligned: ") + std::to_string(address);
  uint8_t* place = reinterpret_cast<uint8_t*>(static_cast<uintptr_t>(address));
#if defined(__SANITIZE_ADDRESS__)
  if (__asan_region_is_poisoned(place, bytes)) throw std::string("outside of any object");
#else
  (void)bytes;
#endif
  return place;
}

template <typename T>
T Load(uint32_t address, uint32_t alignment = sizeof(T)) {
  T value;
  memcpy(&value, At(address, sizeof(T), alignment), sizeof(T));
  return value;
}

template <typename T>
void Store(uint32_t address, const T& value, uint32_t alignment = sizeof(T)) {
  memcpy(At(address, sizeof(T), alignment), &value, sizeof(T));
}

// Moves an address register on after an access at it.
uint32_t Step(M& m, uint8_t reg, uint32_t by) {
  const uint32_t address = m.a[reg];
  m.a[reg] += by;
  return address;
}

// Numbers -----------------------------------------------------------------------------------------

int32_t Signed(uint32_t x) { return static_cast<int32_t>(x); }
int64_t SignExtended(uint64_t x, int bits) {
  return static_cast<int64_t>(x << (64 - bits)) >> (64 - bits);
}
int64_t Saturated(int64_t x, int bits) {
  const int64_t limit = int64_t{1} << (bits - 1);
  return std::min(std::max(x, -limit), limit - 1);
}
uint64_t Mask(int bits) { return (uint64_t{1} << bits) - 1; }

int64_t Lane20(const M& m, int lane) {
  return SignExtended(m.qacc[static_cast<size_t>(lane / 2)] >> (lane % 2 * 20), 20);
}
void SetLane20(M& m, int lane, int64_t value) {
  uint64_t& pair = m.qacc[static_cast<size_t>(lane / 2)];
  const int shift = lane % 2 * 20;
  pair = (pair & ~(Mask(20) << shift)) | ((static_cast<uint64_t>(value) & Mask(20)) << shift);
}
int64_t Lane40(const M& m, int lane) { return SignExtended(m.qacc[static_cast<size_t>(lane)], 40); }
void SetLane40(M& m, int lane, int64_t value) {
  m.qacc[static_cast<size_t>(lane)] = static_cast<uint64_t>(value) & Mask(40);
}

// Twenty bytes: half of the accumulators, as stores and loads see them.
struct Half {
  uint8_t bytes[20];
};
Half GetHalf(const M& m, int first) {
  Half half;
  for (int i = 0; i < 20; ++i) {
    half.bytes[i] = static_cast<uint8_t>(m.qacc[static_cast<size_t>(first + i / 5)] >> (i % 5 * 8));
  }
  return half;
}
void SetHalf(M& m, int first, const Half& half) {
  for (int lane = 0; lane < 4; ++lane) {
    uint64_t value = 0;
    for (int i = 4; i >= 0; --i) value = value << 8 | half.bytes[5 * lane + i];
    m.qacc[static_cast<size_t>(first + lane)] = value;
  }
}

// Vector unit -------------------------------------------------------------------------------------

Vector LoadVector(uint32_t address) { return Load<Vector>(address, 16); }

// Products are of the old registers even where the same instruction loads one of them.
void MultiplyAccx8(M& m, const Vector& x, const Vector& y) {
  int64_t sum = m.accx;
  for (int i = 0; i < 16; ++i) sum += x.s8[i] * y.s8[i];
  m.accx = Saturated(sum, 40);
}
void MultiplyQacc8(M& m, const Vector& x, const Vector& y) {
  for (int i = 0; i < 16; ++i) SetLane20(m, i, Saturated(Lane20(m, i) + x.s8[i] * y.s8[i], 20));
}
void MultiplyQacc16(M& m, const Vector& x, const Vector& y) {
  for (int i = 0; i < 8; ++i) {
    SetLane40(m, i, Saturated(Lane40(m, i) + int64_t{x.s16[i]} * y.s16[i], 40));
  }
}

// Shifts the accumulators right, and keeps them shifted; what is stored saturates.
void ShiftOut8(M& m, const I& i) {
  for (int lane = 0; lane < 16; ++lane) {
    const int64_t shifted = Lane20(m, lane) >> (m.a[i.r[1]] & 31);
    SetLane20(m, lane, shifted);
    m.q[i.r[0]].s8[lane] = static_cast<int8_t>(Saturated(shifted, 8));
  }
}
void ShiftOut16(M& m, const I& i) {
  for (int lane = 0; lane < 8; ++lane) {
    const int64_t shifted = Lane40(m, lane) >> (m.a[i.r[1]] & 63);
    SetLane40(m, lane, shifted);
    m.q[i.r[0]].s16[lane] = static_cast<int16_t>(Saturated(shifted, 16));
  }
}

// Sixteen bytes of the pair low:high from byte `from` on.
Vector Funnel(const Vector& low, const Vector& high, uint32_t from) {
  uint8_t both[32];
  memcpy(both, &low, 16);
  memcpy(both + 16, &high, 16);
  Vector result;
  memcpy(&result, both + from, 16);
  return result;
}

template <int kBytes>
void Zip(Vector& x, Vector& y) {
  uint8_t both[32];
  for (int i = 0; i < 16; i += kBytes) {
    memcpy(both + 2 * i, x.u8 + i, kBytes);
    memcpy(both + 2 * i + kBytes, y.u8 + i, kBytes);
  }
  memcpy(&x, both, 16);
  memcpy(&y, both + 16, 16);
}
template <int kBytes>
void Unzip(Vector& x, Vector& y) {
  uint8_t both[32], even[16], odd[16];
  memcpy(both, &x, 16);
  memcpy(both + 16, &y, 16);
  for (int i = 0; i < 16; i += kBytes) {
    memcpy(even + i, both + 2 * i, kBytes);
    memcpy(odd + i, both + 2 * i + kBytes, kBytes);
  }
  memcpy(&x, even, 16);
  memcpy(&y, odd, 16);
}

// Table -------------------------------------------------------------------------------------------

#define RUN [](M & m, const I& i)
#define A0 m.a[i.r[0]]
#define A1 m.a[i.r[1]]
#define A2 m.a[i.r[2]]
#define Q0 m.q[i.r[0]]
#define Q1 m.q[i.r[1]]
#define Q2 m.q[i.r[2]]
#define Q3 m.q[i.r[3]]
#define Q4 m.q[i.r[4]]
#define IMM static_cast<uint32_t>(i.imm)

void BeginLoop(M& m, const I& i, bool skip) {
  m.loop_begin = m.pc;
  m.loop_end = i.target;
  m.loop_count = A0 - 1;
  if (skip) {
    m.loop_count = 0;
    m.pc = i.target;
  }
}

#define BRANCH(name, operands, condition) \
  {                                       \
    name, operands, 0, 0, 1, 3, RUN {     \
      if (condition) m.pc = i.target;     \
    }                                     \
  }
#define THREE(name, expression)                         \
  {                                                     \
    name, "aaa", 0, 0, 1, 3, RUN { A0 = (expression); } \
  }

// All bits of a lane are set where the comparison holds.
#define COMPARE(name, lanes, type, comparison)                                                  \
  {                                                                                             \
    name, "qqq", 0, 0, 1, 3, RUN {                                                              \
      for (int k = 0; k < (lanes); ++k) Q0.type[k] = Q1.type[k] comparison Q2.type[k] ? -1 : 0; \
    }                                                                                           \
  }

const Form kForms[] = {{"entry", "ai", 0, 32760, 8, 3, RUN{A0 -= IMM;
}  // namespace
}  // namespace xtensa
, {"retw", "", 0, 0, 1, 3, RUN{(void)i;
m.returned = true;
}
}
, {"retw.n", "", 0, 0, 1, 2, RUN{(void)i;
m.returned = true;
}
}
, THREE("add", A1 + A2), THREE("sub", A1 - A2), THREE("addx2", (A1 << 1) + A2),
    THREE("addx4", (A1 << 2) + A2), THREE("addx8", (A1 << 3) + A2), THREE("and", A1& A2),
    THREE("or", A1 | A2), THREE("xor", A1 ^ A2), THREE("mull", A1* A2),
    THREE("mulsh", static_cast<uint32_t>((int64_t{Signed(A1)} * Signed(A2)) >> 32)),
    THREE("min", static_cast<uint32_t>(std::min(Signed(A1), Signed(A2)))),
    THREE("max", static_cast<uint32_t>(std::max(Signed(A1), Signed(A2)))),
    THREE("src", static_cast<uint32_t>(((uint64_t{A1} << 32) | A2) >> m.sar)),
    {"addi", "aai", -128, 127, 1, 3, RUN{A0 = A1 + IMM;
}
}
, {"addmi", "aai", -32768, 32512, 256, 3, RUN{A0 = A1 + IMM;
}
}
, {"mov", "aa", 0, 0, 1, 3, RUN{A0 = A1;
}
}
, {"neg", "aa", 0, 0, 1, 3, RUN{A0 = 0 - A1;
}
}
, {"movi", "ai", -2048, 2047, 1, 3, RUN{A0 = IMM;
}
}
, {"slli", "aai", 1, 31, 1, 3, RUN{A0 = A1 << i.imm;
}
}
, {"srli", "aai", 0, 15, 1, 3, RUN{A0 = A1 >> i.imm;
}
}
, {"srai", "aai", 0, 31, 1, 3, RUN{A0 = static_cast<uint32_t>(Signed(A1) >> i.imm);
}
}
, {"extui", "aann", 0, 0, 1, 3, RUN{A0 = (A1 >> i.imm) & static_cast<uint32_t>(Mask(i.imm2));
}
}
, {"ssr", "a", 0, 0, 1, 3, RUN{m.sar = A0 & 31;
}
}
, {"ssl", "a", 0, 0, 1, 3, RUN{m.sar = 32 - (A0 & 31);
}
}
, {"ssai", "i", 0, 31, 1, 3, RUN{m.sar = IMM;
}
}
, {"sra", "aa", 0, 0, 1, 3,
   RUN{A0 = static_cast<uint32_t>(static_cast<int64_t>(Signed(A1)) >> m.sar);
}
}
, {"sll", "aa", 0, 0, 1, 3, RUN{A0 = static_cast<uint32_t>(uint64_t{A1} << (32 - m.sar));
}
}
, {"sext", "aai", 7, 22, 1, 3, RUN{A0 = static_cast<uint32_t>(SignExtended(A1, i.imm + 1));
}
}
, {"clamps", "aai", 7, 22, 1, 3, RUN{A0 = static_cast<uint32_t>(Saturated(Signed(A1), i.imm + 1));
}
}
, {"l8ui", "aai", 0, 255, 1, 3, RUN{A0 = Load<uint8_t>(A1 + IMM);
}
}
, {"l32i", "aai", 0, 1020, 4, 3, RUN{A0 = Load<uint32_t>(A1 + IMM);
}
}
, {"l32i.n", "aai", 0, 60, 4, 2, RUN{A0 = Load<uint32_t>(A1 + IMM);
}
}
, {"s8i", "aai", 0, 255, 1, 3, RUN{Store(A1 + IMM, static_cast<uint8_t>(A0));
}
}
, {"s32i", "aai", 0, 1020, 4, 3, RUN{Store(A1 + IMM, A0);
}
}
, {"j", "t", 0, 0, 1, 3, RUN{m.pc = i.target;
}
}
, BRANCH("beqz", "at", A0 == 0), BRANCH("bnez", "at", A0 != 0),
    BRANCH("bltz", "at", Signed(A0) < 0), BRANCH("bgez", "at", Signed(A0) >= 0),
    BRANCH("beq", "aat", A0 == A1), BRANCH("bne", "aat", A0 != A1),
    BRANCH("blt", "aat", Signed(A0) < Signed(A1)), BRANCH("bge", "aat", Signed(A0) >= Signed(A1)),
    BRANCH("bltu", "aat", A0 < A1), {"loop", "at", 0, 0, 1, 3, RUN{BeginLoop(m, i, false);
}
}
, {"loopnez", "at", 0, 0, 1, 3, RUN{BeginLoop(m, i, A0 == 0);
}
}
, {"rur.accx_0", "a", 0, 0, 1, 3, RUN{A0 = static_cast<uint32_t>(m.accx);
}
}
, {"rur.accx_1", "a", 0, 0, 1, 3,
   RUN{A0 = static_cast<uint32_t>(static_cast<uint64_t>(m.accx) >> 32 & 0xff);
}
}
,

    {"ee.vld.128.ip", "qai", -2048, 2032, 16, 3, RUN{Q0 = LoadVector(Step(m, i.r[1], IMM));
}
}
, {"ee.vld.128.xp", "qaa", 0, 0, 1, 3, RUN{Q0 = LoadVector(Step(m, i.r[1], A2));
}
}
, {"ee.vst.128.ip", "qai", -2048, 2032, 16, 3, RUN{Store(Step(m, i.r[1], IMM), Q0);
}
}
, {"ee.vst.128.xp", "qaa", 0, 0, 1, 3, RUN{Store(Step(m, i.r[1], A2), Q0);
}
}
, {"ee.vldbc.8.ip", "qai", 0, 127, 1, 3, RUN{memset(&Q0, Load<uint8_t>(Step(m, i.r[1], IMM)), 16);
}
}
, {"ee.vldbc.8", "qa", 0, 0, 1, 3, RUN{memset(&Q0, Load<uint8_t>(A1), 16);
}
}
,
    // Alone in dropping the low address bits on purpose: it keeps them in SAR_BYTE.
    {"ee.ld.128.usar.ip", "qai", -2048, 2032, 16, 3,
     RUN{const uint32_t address = Step(m, i.r[1], IMM);
m.sar_byte = address & 15;
Q0 = LoadVector(address & ~15u);
}
}
, {"ee.src.q", "qqq", 0, 0, 1, 3, RUN{Q0 = Funnel(Q1, Q2, m.sar_byte);
}
}
, {"ee.zero.q", "q", 0, 0, 1, 3, RUN{Q0 = Vector{};
}
}
, {"ee.zero.accx", "", 0, 0, 1, 3, RUN{(void)i;
m.accx = 0;
}
}
, {"ee.zero.qacc", "", 0, 0, 1, 3, RUN{(void)i;
m.qacc.fill(0);
}
}
, {"ee.ldqa.s8.128.ip", "ai", -2048, 2032, 16, 3,
   RUN{const Vector loaded = LoadVector(Step(m, i.r[0], IMM));
for (int lane = 0; lane < 16; ++lane) SetLane20(m, lane, loaded.s8[lane]);
}
}
, {"ee.ld.accx.ip", "ai", -1024, 1016, 8, 3,
   RUN{m.accx = SignExtended(Load<uint64_t>(Step(m, i.r[0], IMM)), 40);
}
}
,
    // The upper 24 bits of the eight bytes are zeros.
    {"ee.st.accx.ip", "ai", -1024, 1016, 8, 3,
     RUN{Store(Step(m, i.r[0], IMM), static_cast<uint64_t>(m.accx) & Mask(40));
}
}
, {"ee.vmulas.s8.accx", "qq", 0, 0, 1, 3, RUN{MultiplyAccx8(m, Q0, Q1);
}
}
, {"ee.vmulas.s8.accx.ld.ip", "qaiqq", -512, 496, 16, 4,
   RUN{const Vector loaded = LoadVector(Step(m, i.r[1], IMM));
MultiplyAccx8(m, Q2, Q3);
Q0 = loaded;
}
}
, {"ee.vmulas.s8.accx.ld.xp", "qaaqq", 0, 0, 1, 4,
   RUN{const Vector loaded = LoadVector(Step(m, i.r[1], A2));
MultiplyAccx8(m, Q3, Q4);
Q0 = loaded;
}
}
, {"ee.vmulas.s8.qacc", "qq", 0, 0, 1, 3, RUN{MultiplyQacc8(m, Q0, Q1);
}
}
, {"ee.vmulas.s8.qacc.ld.ip", "qaiqq", -512, 496, 16, 4,
   RUN{const Vector loaded = LoadVector(Step(m, i.r[1], IMM));
MultiplyQacc8(m, Q2, Q3);
Q0 = loaded;
}
}
, {"ee.vmulas.s8.qacc.ld.xp", "qaaqq", 0, 0, 1, 4,
   RUN{const Vector loaded = LoadVector(Step(m, i.r[1], A2));
MultiplyQacc8(m, Q3, Q4);
Q0 = loaded;
}
}
, {"ee.vmulas.s16.qacc", "qq", 0, 0, 1, 3, RUN{MultiplyQacc16(m, Q0, Q1);
}
}
, {"ee.vsmulas.s8.qacc.ld.incp", "qaqqi", 0, 15, 1, 4,
   RUN{const Vector loaded = LoadVector(Step(m, i.r[1], 16));
Vector one;
memset(&one, Q3.u8[i.imm], sizeof(one));
MultiplyQacc8(m, Q2, one);
Q0 = loaded;
}
}
, {"ee.srcmb.s8.qacc", "qai", 0, 1, 1, 3, ShiftOut8},
    {"ee.srcmb.s16.qacc", "qai", 0, 1, 1, 3, ShiftOut16},
    {"ee.st.qacc_l.l.128.ip", "ai", -2048, 2032, 16, 3, RUN{Vector low;
memcpy(&low, GetHalf(m, 0).bytes, 16);
Store(Step(m, i.r[0], IMM), low);
}
}
, {"ee.st.qacc_l.h.32.ip", "ai", -512, 508, 4, 3, RUN{uint32_t high;
memcpy(&high, GetHalf(m, 0).bytes + 16, 4);
Store(Step(m, i.r[0], IMM), high);
}
}
, {"ee.st.qacc_h.l.128.ip", "ai", -2048, 2032, 16, 3, RUN{Vector low;
memcpy(&low, GetHalf(m, 4).bytes, 16);
Store(Step(m, i.r[0], IMM), low);
}
}
, {"ee.st.qacc_h.h.32.ip", "ai", -512, 508, 4, 3, RUN{uint32_t high;
memcpy(&high, GetHalf(m, 4).bytes + 16, 4);
Store(Step(m, i.r[0], IMM), high);
}
}
,
#define LOAD_HALF(name, first, from, type, alignment, low, high)     \
  {                                                                  \
    name, "ai", low, high, alignment, 3, RUN {                       \
      const type part = Load<type>(Step(m, i.r[0], IMM), alignment); \
      Half half = GetHalf(m, first);                                 \
      memcpy(half.bytes + (from), &part, sizeof(part));              \
      SetHalf(m, first, half);                                       \
    }                                                                \
  }
    LOAD_HALF("ee.ld.qacc_l.l.128.ip", 0, 0, Vector, 16, -2048, 2032),
    LOAD_HALF("ee.ld.qacc_l.h.32.ip", 0, 16, uint32_t, 4, -512, 508),
    LOAD_HALF("ee.ld.qacc_h.l.128.ip", 4, 0, Vector, 16, -2048, 2032),
    LOAD_HALF("ee.ld.qacc_h.h.32.ip", 4, 16, uint32_t, 4, -512, 508),
    {"ee.vadds.s8", "qqq", 0, 0, 1, 3,
     RUN{for (int k = 0; k < 16;
              ++k){Q0.s8[k] = static_cast<int8_t>(Saturated(Q1.s8[k] + Q2.s8[k], 8));
}
}
}
, {"ee.vsubs.s32", "qqq", 0, 0, 1, 3,
   RUN{for (int k = 0; k < 4; ++k) Q0.s32[k] =
           static_cast<int32_t>(Saturated(int64_t{Q1.s32[k]} - Q2.s32[k], 32));
}
}
, {"ee.xorq", "qqq", 0, 0, 1, 3, RUN{for (int k = 0; k < 4; ++k) Q0.u32[k] = Q1.u32[k] ^ Q2.u32[k];
}
}
, COMPARE("ee.vcmp.eq.s8", 16, s8, ==), COMPARE("ee.vcmp.gt.s8", 16, s8, >),
    COMPARE("ee.vcmp.lt.s8", 16, s8, <), COMPARE("ee.vcmp.lt.s16", 8, s16, <),
    {"ee.vmax.s8", "qqq", 0, 0, 1, 3,
     RUN{for (int k = 0; k < 16; ++k) Q0.s8[k] = std::max(Q1.s8[k], Q2.s8[k]);
}
}
, {"ee.vmin.s8", "qqq", 0, 0, 1, 3,
   RUN{for (int k = 0; k < 16; ++k) Q0.s8[k] = std::min(Q1.s8[k], Q2.s8[k]);
}
}
, {"ee.vzip.8", "qq", 0, 0, 1, 3, RUN{Zip<1>(Q0, Q1);
}
}
, {"ee.vzip.16", "qq", 0, 0, 1, 3, RUN{Zip<2>(Q0, Q1);
}
}
, {"ee.vunzip.8", "qq", 0, 0, 1, 3, RUN{Unzip<1>(Q0, Q1);
}
}
,
}
;

}  // namespace

const Form* FindForm(const std::string& name) {
  static const std::map<std::string, const Form*> forms = [] {
    std::map<std::string, const Form*> made;
    for (const Form& form : kForms) made[form.name] = &form;
    return made;
  }();
  const auto found = forms.find(name);
  return found == forms.end() ? nullptr : found->second;
}

}  // namespace xtensa
