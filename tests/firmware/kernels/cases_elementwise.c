// Cases of the kernels that take one element at a time.
#include <stddef.h>
#include <string.h>

#include "cases.h"
#include "pack.h"
#include "random.h"
#include "reference.h"

enum { kMaxCount = 4000 };

static int8_t first[kMaxCount] __attribute__((aligned(16)));
static int8_t second[kMaxCount] __attribute__((aligned(16)));
static int8_t wanted[kMaxCount];
static int8_t out_storage[kMaxCount + 2 * kGuard] __attribute__((aligned(16)));
static int8_t table[256];

static const int8_t* random_table_or_none(void) {
  random_table(table);
  return random_between(0, 1) ? table : NULL;
}

static int check(const char* what, const int8_t* out, int32_t count) {
  if (differs(what, out, wanted, count)) return 1;
  const int8_t intact = (int8_t)buffer_intact(out_storage, count);
  const int8_t expected = 1;
  return differs(what, &intact, &expected, 1);
}

int add_case(void) {
  const int32_t count = random_between(1, 400);
  AddParams p = {
      .a_zero_point = random_between(-128, 127),
      .a_multiplier = random_between(1 << 30, INT32_MAX),
      .a_shift = random_between(0, 1) ? 0 : -random_between(0, 12),
      .b_zero_point = random_between(-128, 127),
      .b_multiplier = random_between(0, 3) ? random_between(1 << 30, INT32_MAX) : 1 << 30,
      .b_shift = -random_between(0, 12),
      .multiplier = random_between(1 << 30, INT32_MAX),
      .shift = random_between(0, 3) ? -random_between(18, 21) : -random_between(0, 31),
      .zero_point = random_between(-128, 127),
      .table = random_table_or_none()};
  // What TensorFlow Lite gives the input of the larger scale.
  const int32_t larger = random_between(0, 3);
  if (larger == 0) p.a_multiplier = 1 << 30, p.a_shift = 0;
  if (larger == 1) p.b_multiplier = 1 << 30, p.b_shift = 0;
  p.packed = pack_add(&p);
  random_bytes(first, count, -128);
  random_bytes(second, count, -128);
  for (int32_t i = 0; i < count; ++i) {
    const int32_t a =
        reference_rescale((first[i] - p.a_zero_point) * (1 << 20), p.a_multiplier, p.a_shift);
    const int32_t b =
        reference_rescale((second[i] - p.b_zero_point) * (1 << 20), p.b_multiplier, p.b_shift);
    wanted[i] =
        reference_finish(reference_rescale(a + b, p.multiplier, p.shift), p.zero_point, p.table);
  }
  int8_t* out = open_buffer(out_storage, count);
  const int in_place = random_between(0, 1);
  if (in_place) memcpy(out, first, (size_t)count);
  kernel_add(in_place ? out : first, second, count, &p, out);
  return check("add", out, count);
}

static MulParams random_mul(void) {
  return (MulParams){
      .a_zero_point = random_between(-128, 127),
      .b_zero_point = random_between(-128, 127),
      .multiplier = random_between(0, 3) ? random_between(1 << 30, INT32_MAX) : 1 << 30,
      .shift = random_between(0, 3) ? -random_between(5, 10) : random_between(-31, 14),
      .zero_point = random_between(-128, 127),
      .table = random_table_or_none()};
}

static int8_t product(int8_t a, int8_t b, const MulParams* p) {
  const int32_t x = (a - p->a_zero_point) * (b - p->b_zero_point);
  return reference_finish(reference_rescale(x, p->multiplier, p->shift), p->zero_point, p->table);
}

int mul_case(void) {
  const int32_t count = random_between(1, 400);
  const MulParams p = random_mul();
  random_bytes(first, count, -128);
  random_bytes(second, count, -128);
  for (int32_t i = 0; i < count; ++i) wanted[i] = product(first[i], second[i], &p);
  int8_t* out = open_buffer(out_storage, count);
  kernel_mul(first, second, count, &p, out);
  return check("mul", out, count);
}

int mul_gate_case(void) {
  const int32_t channels =
      random_between(0, 1) ? random_between(1, 100) : 16 * random_between(1, 6);
  const int32_t pixels = random_between(1, 20);
  const int32_t count = channels * pixels;
  MulParams p = random_mul();
  p.packed = pack_gate(&p);
  random_bytes(first, count, -128);
  random_bytes(second, channels, -128);
  for (int32_t i = 0; i < count; ++i) wanted[i] = product(first[i], second[i % channels], &p);
  int8_t* out = open_buffer(out_storage, count);
  const int in_place = random_between(0, 1);
  if (in_place) memcpy(out, first, (size_t)count);
  kernel_mul_gate(in_place ? out : first, second, pixels, channels, &p, out);
  return check("mul_gate", out, count);
}

int mean_case(void) {
  const int32_t channels = random_between(1, 100);
  const int32_t pixels = random_between(1, 40);
  const MeanParams p = {.bias = -random_between(-128, 127) * pixels,
                        .multiplier = random_between(1 << 28, INT32_MAX),
                        .shift = -random_between(0, 8),
                        .zero_point = random_between(-128, 127),
                        .table = random_table_or_none()};
  static int32_t sums[100];
  memset(sums, 0, sizeof(sums));
  random_bytes(first, channels * pixels, -128);
  for (int32_t c = 0; c < channels; ++c) {
    int32_t sum = p.bias;
    for (int32_t i = 0; i < pixels; ++i) sum += first[i * channels + c];
    wanted[c] =
        reference_finish(reference_rescale(sum, p.multiplier, p.shift), p.zero_point, p.table);
  }
  int8_t* out = open_buffer(out_storage, channels);
  kernel_sum(first, pixels, channels, sums);
  kernel_mean(sums, channels, &p, out);
  return check("mean", out, channels);
}

int lookup_case(void) {
  const int32_t count = random_between(1, 400);
  random_bytes(first, count, -128);
  random_table(table);
  for (int32_t i = 0; i < count; ++i) wanted[i] = table[first[i] + 128];
  int8_t* out = open_buffer(out_storage, count);
  kernel_lookup(first, count, table, out);
  return check("lookup", out, count);
}
