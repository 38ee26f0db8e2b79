// The vector unit's instructions ("PIE"): the registers q0 to q7, the accumulator ACCX of 40 bits
// and the accumulators QACC, which are sixteen lanes of 20 bits or eight of 40.
#include "instructions.h"

namespace xtensa {
namespace {

using M = Machine;
using I = Instruction;

// Lanes of the accumulators -----------------------------------------------------------------------

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

// Loads and stores --------------------------------------------------------------------------------

// The address in this register, which is increased after the access.
uint32_t Step(M& m, uint8_t reg, uint32_t by) {
  const uint32_t address = m.a[reg];
  m.a[reg] += by;
  return address;
}

Vector Repeated(uint8_t byte) {
  Vector all;
  memset(&all, byte, sizeof(all));
  return all;
}

void LoadIp(M& m, const I& i) { Q(m, i, 0) = Load<Vector>(Step(m, i.r[1], Immediate(i))); }
void LoadXp(M& m, const I& i) { Q(m, i, 0) = Load<Vector>(Step(m, i.r[1], A(m, i, 2))); }
void StoreIp(M& m, const I& i) { Store(Step(m, i.r[1], Immediate(i)), Q(m, i, 0)); }
void StoreXp(M& m, const I& i) { Store(Step(m, i.r[1], A(m, i, 2)), Q(m, i, 0)); }
void LoadByte(M& m, const I& i) { Q(m, i, 0) = Repeated(Load<uint8_t>(A(m, i, 1))); }
void LoadByteIp(M& m, const I& i) {
  Q(m, i, 0) = Repeated(Load<uint8_t>(Step(m, i.r[1], Immediate(i))));
}

// Only this load may drop the low bits of an address: it keeps them in SAR_BYTE.
void LoadUnalignedIp(M& m, const I& i) {
  const uint32_t address = Step(m, i.r[1], Immediate(i));
  m.sar_byte = address & 15;
  Q(m, i, 0) = Load<Vector>(address & ~15u);
}

void LoadLanesIp(M& m, const I& i) {
  const Vector loaded = Load<Vector>(Step(m, i.r[0], Immediate(i)));
  for (int lane = 0; lane < 16; ++lane) SetLane20(m, lane, loaded.s8[lane]);
}

void LoadAccxIp(M& m, const I& i) {
  m.accx = SignExtended(Load<uint64_t>(Step(m, i.r[0], Immediate(i))), 40);
}
// The upper 24 bits of the eight bytes are zeros.
void StoreAccxIp(M& m, const I& i) {
  Store(Step(m, i.r[0], Immediate(i)), static_cast<uint64_t>(m.accx) & Mask(40));
}

// The part of half the accumulators that begins at byte kFrom: a Vector or a uint32_t.
template <int kFirstLane, int kFrom, typename T>
void StoreHalfIp(M& m, const I& i) {
  T part;
  memcpy(&part, GetHalf(m, kFirstLane).bytes + kFrom, sizeof(part));
  Store(Step(m, i.r[0], Immediate(i)), part);
}
template <int kFirstLane, int kFrom, typename T>
void LoadHalfIp(M& m, const I& i) {
  const T part = Load<T>(Step(m, i.r[0], Immediate(i)));
  Half half = GetHalf(m, kFirstLane);
  memcpy(half.bytes + kFrom, &part, sizeof(part));
  SetHalf(m, kFirstLane, half);
}

// Products ----------------------------------------------------------------------------------------

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

using Product = void (*)(M& m, const Vector& x, const Vector& y);

template <Product kMultiply>
void Multiply(M& m, const I& i) {
  kMultiply(m, Q(m, i, 0), Q(m, i, 1));
}

// Products are of the old registers even where the same instruction loads one of them.
template <Product kMultiply>
void MultiplyLoadIp(M& m, const I& i) {
  const Vector loaded = Load<Vector>(Step(m, i.r[1], Immediate(i)));
  kMultiply(m, Q(m, i, 2), Q(m, i, 3));
  Q(m, i, 0) = loaded;
}
template <Product kMultiply>
void MultiplyLoadXp(M& m, const I& i) {
  const Vector loaded = Load<Vector>(Step(m, i.r[1], A(m, i, 2)));
  kMultiply(m, Q(m, i, 3), Q(m, i, 4));
  Q(m, i, 0) = loaded;
}
void MultiplyByteLoad(M& m, const I& i) {
  const Vector loaded = Load<Vector>(Step(m, i.r[1], 16));
  MultiplyQacc8(m, Q(m, i, 2), Repeated(Q(m, i, 3).u8[i.imm]));
  Q(m, i, 0) = loaded;
}

// Accumulators ------------------------------------------------------------------------------------

void ClearAccx(M& m, const I&) { m.accx = 0; }
void ClearQacc(M& m, const I&) { m.qacc.fill(0); }

// Shifts the accumulators right, and keeps them shifted; what is stored saturates.
void ShiftOut8(M& m, const I& i) {
  for (int lane = 0; lane < 16; ++lane) {
    const int64_t shifted = Lane20(m, lane) >> (A(m, i, 1) & 31);
    SetLane20(m, lane, shifted);
    Q(m, i, 0).s8[lane] = static_cast<int8_t>(Saturated(shifted, 8));
  }
}
void ShiftOut16(M& m, const I& i) {
  for (int lane = 0; lane < 8; ++lane) {
    const int64_t shifted = Lane40(m, lane) >> (A(m, i, 1) & 63);
    SetLane40(m, lane, shifted);
    Q(m, i, 0).s16[lane] = static_cast<int16_t>(Saturated(shifted, 16));
  }
}

// Registers ---------------------------------------------------------------------------------------

void Clear(M& m, const I& i) { Q(m, i, 0) = Vector{}; }

int64_t AddSaturated8(int64_t x, int64_t y) { return Saturated(x + y, 8); }
int64_t SubtractSaturated32(int64_t x, int64_t y) { return Saturated(x - y, 32); }
int64_t Xor(int64_t x, int64_t y) { return x ^ y; }
int64_t Minimum(int64_t x, int64_t y) { return std::min(x, y); }
int64_t Maximum(int64_t x, int64_t y) { return std::max(x, y); }
// All bits of a lane are set where the comparison holds.
int64_t Equal(int64_t x, int64_t y) { return x == y ? -1 : 0; }
int64_t Greater(int64_t x, int64_t y) { return x > y ? -1 : 0; }
int64_t Less(int64_t x, int64_t y) { return x < y ? -1 : 0; }

template <typename Lane, int64_t (*kCompute)(int64_t, int64_t)>
void EachLane(M& m, const I& i) {
  Lane x[16 / sizeof(Lane)], y[16 / sizeof(Lane)];
  memcpy(x, &Q(m, i, 1), 16);
  memcpy(y, &Q(m, i, 2), 16);
  for (size_t k = 0; k < 16 / sizeof(Lane); ++k) x[k] = static_cast<Lane>(kCompute(x[k], y[k]));
  memcpy(&Q(m, i, 0), x, 16);
}

// Sixteen of the 32 bytes of two registers, from byte SAR_BYTE on.
void Funnel(M& m, const I& i) {
  uint8_t both[32];
  memcpy(both, &Q(m, i, 1), 16);
  memcpy(both + 16, &Q(m, i, 2), 16);
  memcpy(&Q(m, i, 0), both + m.sar_byte, 16);
}

template <int kBytes>
void Zip(M& m, const I& i) {
  uint8_t both[32];
  for (int k = 0; k < 16; k += kBytes) {
    memcpy(both + 2 * k, Q(m, i, 0).u8 + k, kBytes);
    memcpy(both + 2 * k + kBytes, Q(m, i, 1).u8 + k, kBytes);
  }
  memcpy(&Q(m, i, 0), both, 16);
  memcpy(&Q(m, i, 1), both + 16, 16);
}
template <int kBytes>
void Unzip(M& m, const I& i) {
  uint8_t both[32], even[16], odd[16];
  memcpy(both, &Q(m, i, 0), 16);
  memcpy(both + 16, &Q(m, i, 1), 16);
  for (int k = 0; k < 16; k += kBytes) {
    memcpy(even + k, both + 2 * k, kBytes);
    memcpy(odd + k, both + 2 * k + kBytes, kBytes);
  }
  memcpy(&Q(m, i, 0), even, 16);
  memcpy(&Q(m, i, 1), odd, 16);
}

}  // namespace

std::vector<Form> VectorForms() {
  return {
      {"ee.vld.128.ip", "qai", -2048, 2032, 16, 3, LoadIp},
      {"ee.vld.128.xp", "qaa", 0, 0, 1, 3, LoadXp},
      {"ee.vst.128.ip", "qai", -2048, 2032, 16, 3, StoreIp},
      {"ee.vst.128.xp", "qaa", 0, 0, 1, 3, StoreXp},
      {"ee.vldbc.8.ip", "qai", 0, 127, 1, 3, LoadByteIp},
      {"ee.vldbc.8", "qa", 0, 0, 1, 3, LoadByte},
      {"ee.ld.128.usar.ip", "qai", -2048, 2032, 16, 3, LoadUnalignedIp},
      {"ee.ldqa.s8.128.ip", "ai", -2048, 2032, 16, 3, LoadLanesIp},
      {"ee.ld.accx.ip", "ai", -1024, 1016, 8, 3, LoadAccxIp},
      {"ee.st.accx.ip", "ai", -1024, 1016, 8, 3, StoreAccxIp},
      {"ee.st.qacc_l.l.128.ip", "ai", -2048, 2032, 16, 3, StoreHalfIp<0, 0, Vector>},
      {"ee.st.qacc_l.h.32.ip", "ai", -512, 508, 4, 3, StoreHalfIp<0, 16, uint32_t>},
      {"ee.st.qacc_h.l.128.ip", "ai", -2048, 2032, 16, 3, StoreHalfIp<4, 0, Vector>},
      {"ee.st.qacc_h.h.32.ip", "ai", -512, 508, 4, 3, StoreHalfIp<4, 16, uint32_t>},
      {"ee.ld.qacc_l.l.128.ip", "ai", -2048, 2032, 16, 3, LoadHalfIp<0, 0, Vector>},
      {"ee.ld.qacc_l.h.32.ip", "ai", -512, 508, 4, 3, LoadHalfIp<0, 16, uint32_t>},
      {"ee.ld.qacc_h.l.128.ip", "ai", -2048, 2032, 16, 3, LoadHalfIp<4, 0, Vector>},
      {"ee.ld.qacc_h.h.32.ip", "ai", -512, 508, 4, 3, LoadHalfIp<4, 16, uint32_t>},

      {"ee.vmulas.s8.accx", "qq", 0, 0, 1, 3, Multiply<MultiplyAccx8>},
      {"ee.vmulas.s8.accx.ld.ip", "qaiqq", -512, 496, 16, 4, MultiplyLoadIp<MultiplyAccx8>},
      {"ee.vmulas.s8.accx.ld.xp", "qaaqq", 0, 0, 1, 4, MultiplyLoadXp<MultiplyAccx8>},
      {"ee.vmulas.s8.qacc", "qq", 0, 0, 1, 3, Multiply<MultiplyQacc8>},
      {"ee.vmulas.s8.qacc.ld.ip", "qaiqq", -512, 496, 16, 4, MultiplyLoadIp<MultiplyQacc8>},
      {"ee.vmulas.s8.qacc.ld.xp", "qaaqq", 0, 0, 1, 4, MultiplyLoadXp<MultiplyQacc8>},
      {"ee.vmulas.s16.qacc", "qq", 0, 0, 1, 3, Multiply<MultiplyQacc16>},
      {"ee.vsmulas.s8.qacc.ld.incp", "qaqqi", 0, 15, 1, 4, MultiplyByteLoad},

      {"ee.zero.accx", "", 0, 0, 1, 3, ClearAccx},
      {"ee.zero.qacc", "", 0, 0, 1, 3, ClearQacc},
      {"ee.srcmb.s8.qacc", "qai", 0, 1, 1, 3, ShiftOut8},
      {"ee.srcmb.s16.qacc", "qai", 0, 1, 1, 3, ShiftOut16},

      {"ee.zero.q", "q", 0, 0, 1, 3, Clear},
      {"ee.vadds.s8", "qqq", 0, 0, 1, 3, EachLane<int8_t, AddSaturated8>},
      {"ee.vsubs.s32", "qqq", 0, 0, 1, 3, EachLane<int32_t, SubtractSaturated32>},
      {"ee.xorq", "qqq", 0, 0, 1, 3, EachLane<int32_t, Xor>},
      {"ee.vcmp.eq.s8", "qqq", 0, 0, 1, 3, EachLane<int8_t, Equal>},
      {"ee.vcmp.gt.s8", "qqq", 0, 0, 1, 3, EachLane<int8_t, Greater>},
      {"ee.vcmp.lt.s8", "qqq", 0, 0, 1, 3, EachLane<int8_t, Less>},
      {"ee.vcmp.lt.s16", "qqq", 0, 0, 1, 3, EachLane<int16_t, Less>},
      {"ee.vmax.s8", "qqq", 0, 0, 1, 3, EachLane<int8_t, Maximum>},
      {"ee.vmin.s8", "qqq", 0, 0, 1, 3, EachLane<int8_t, Minimum>},
      {"ee.src.q", "qqq", 0, 0, 1, 3, Funnel},
      {"ee.vzip.8", "qq", 0, 0, 1, 3, Zip<1>},
      {"ee.vzip.16", "qq", 0, 0, 1, 3, Zip<2>},
      {"ee.vunzip.8", "qq", 0, 0, 1, 3, Unzip<1>},
  };
}

}  // namespace xtensa
