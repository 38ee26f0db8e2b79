// The machine against values that were measured on an ESP32-S3, where somebody has published them,
// and against the manuals elsewhere. Prints "ok"; with "misaligned" or "beyond" it makes that
// access.
#include <cstdio>
#include <cstring>

#include "machine.h"

namespace {

using Bytes = std::array<int8_t, 16>;

alignas(16) Bytes first, second;
alignas(16) std::array<int8_t, 32> result;

struct Case {
  const char* function;
  Bytes first, second;
  std::vector<int> expected;  // the result's first bytes
};

Bytes Words(std::initializer_list<int32_t> words) {
  Bytes bytes{};
  memcpy(bytes.data(), words.begin(), 4 * words.size());
  return bytes;
}

Bytes Halves(std::initializer_list<int16_t> halves) {
  Bytes bytes{};
  memcpy(bytes.data(), halves.begin(), 2 * halves.size());
  return bytes;
}

const Bytes kCounting = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
const Bytes kFurther = {16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

const Case kCases[] = {
    // espressif/qemu issue 161, the three sums it names.
    {"vadds_s8", {-1, -128, 120}, {-127, -1, 20}, {-128, -128, 127, 0}},
    // Measured on the chip by the authors of rusty_esp (crate rusty-esp-dsp, PIE kernels): even
    // bytes of the pair go to the first register, odd ones to the second; rur.accx_1 is bits 32 to
    // 39 of the sum, zero-extended.
    {"vunzip_8", kCounting, kFurther, {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30,
                                       1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31}},
    {"negative_accx", {1}, {-1}, {-1, -1, -1, -1, -1, 0, 0, 0}},
    // Measured for esp32s3-hw-mcp (device experiment ex09): a readout saturates to 16 bits, and
    // leaves the shifted values in the accumulator.
    // 3000 * 1000 >> 5 = 93750, 320 >> 5 = 10, -33 >> 5 = -2.
    {"srcmb_twice", Halves({3000, 320, -33}), Halves({1000, 1, 1}), {-1, 127, 10, 0, -2, -1, 0, 0,
                                                                     0,  0,   0,  0, 0,  0,  0, 0,
                                                                     -1, 127, 10, 0, -2, -1}},
    // Technical Reference Manual, 1.8: products are of what the registers held before the load.
    {"accx", {2, 3}, kCounting, {13, 0, 0, 0, 0, 0, 0, 0, 8, 9}},
    {"unaligned", kCounting, kFurther, {3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}},
    // Technical Reference Manual, 1.8.55: a readout writes the shifted lane back, and saturates
    // what it reads to -128 .. 127.
    // 5 + 5 * 100 = 505 >> 3 = 63, >> 2 = 15; -2 - 200 = -202 >> 3 = -26, >> 2 = -7;
    // 127 + 12700 = 12827 >> 3 = 1603, >> 2 = 400; -128 - 12800 = -12928 >> 5 = -404.
    {"lanes_twice", {5, -2, 127, -128}, {100, 100, 100, 100}, {63, -26, 127, -128, 0,   0,   0,
                                                               0,  0,   0,   0,    0,   0,   0,
                                                               0,  0,   15,  -7,   127, -128}},
    // 1.8.190: one of the second register's bytes, here the fourth, for all of the first's.
    {"vsmulas", {1, -2, 3, 60}, {9, 9, 9, -3}, {-3, 6, -9, -128, 0, 0, 0, 0,  0, 0,
                                                0,  0, 0,  0,    0, 0, 1, -2, 3, 60}},
    // EE.VCMP: all bits of a lane where it holds (Espressif's esp-dl 65799d3, PIE SIMD reference,
    // section 7). 1.8.201, EE.VSUBS.S32: saturates.
    {"vcmp_eq_s8", {1, -1, 5}, {2, -1, -5}, {0, -1, 0, -1}},
    {"vcmp_gt_s8", {1, -1, 5}, {2, -2, -5}, {0, -1, -1, 0}},
    {"vcmp_lt_s8", {1, -1, 5}, {2, -2, -5}, {-1, 0, 0, 0}},
    {"vcmp_lt_s16", Halves({1, -300, 5}), Halves({256, -1, -5}), {-1, -1, -1, -1, 0, 0, 0, 0}},
    {"vsubs_s32",
     Words({5, INT32_MIN, INT32_MAX}),
     Words({7, 1, -1}),
     {-2, -1, -1, -1, 0, 0, 0, -128, -1, -1, -1, 127}},
    // 1.8.214, EE.XORQ: of all 128 bits.
    {"xorq", {1, -1, 5}, {3, -128, 5}, {2, 127, 0, 0}},
    // 40 * 127 * 127 > 2^19 - 1 = 0x7ffff, and its negative; 40 * 1 * 2 = 80.
    {"packed", {127, -127, 1}, {127, 127, 2}, {-1, -1, 7, 0, -128, 80, 0, 0}},
    // Xtensa ISA: upper word, clamp to 8 bits, sign from bit 19, funnel shift by 20.
    {"scalars",
     Words({0x7fffffff}),
     Words({-2}),
     {-1, -1, -1, -1, 127, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1}},
};

uint32_t Address(void* pointer) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pointer));
}

}  // namespace

int main(int argc, char** argv) {
  xtensa::Program program(argv[1]);
  xtensa::Machine machine;
  const std::vector<uint32_t> arguments = {Address(&first), Address(&second), Address(&result)};
  if (argc > 2) {
    program.Call(machine, argv[2], arguments);
    return 0;
  }
  for (const Case& one : kCases) {
    first = one.first;
    second = one.second;
    result.fill(0);
    program.Call(machine, one.function, arguments);
    for (size_t i = 0; i < one.expected.size(); ++i) {
      if (result[i] != one.expected[i]) {
        printf("%s: byte %zu is %d, not %d\n", one.function, i, result[i], one.expected[i]);
        return 1;
      }
    }
  }
  // entry, three loads and stores, ten instructions in all; a loop's body counts each time.
  const uint64_t before = machine.instructions;
  program.Call(machine, "packed", arguments);
  if (machine.instructions - before != 6 + 40 + 2) {
    printf("%d instructions\n", static_cast<int>(machine.instructions - before));
    return 1;
  }
  puts("ok");
  return 0;
}
