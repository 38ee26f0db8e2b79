// The constants of lanes in the order of rounding.S, and those of gates and sums.
#include <math.h>
#include <string.h>

#include "pack.h"
#include "pack_pie.h"
#include "reference.h"

static int8_t* put_bytes(const int64_t* values, int sign, int8_t* at) {
  for (int lane = 0; lane < 16; ++lane) *at++ = (int8_t)(sign * values[lane]);
  return at;
}

void take_digit(int64_t* values, int64_t* digit) {
  for (int lane = 0; lane < 16; ++lane) {
    digit[lane] = (int8_t)values[lane];
    values[lane] = (values[lane] - digit[lane]) / 256;
  }
}

// Two lanes of 20 bits in five bytes; of a half's twenty the last four lie behind both halves.
int8_t* put_image(const int64_t* start, int8_t* at) {
  memset(at, 0, 48);
  for (int byte = 0; byte < 40; ++byte) {
    uint64_t pair = (uint64_t)start[byte / 5 * 2] & 0xfffff;
    pair |= ((uint64_t)start[byte / 5 * 2 + 1] & 0xfffff) << 20;
    const int half = byte / 20, in_half = byte % 20;
    const int place = in_half < 16 ? 16 * half + in_half : 32 + 4 * half + in_half - 16;
    at[place] = (int8_t)(pair >> (byte % 5 * 8));
  }
  return at + 48;
}

void put_constants(Lanes* lanes, int8_t* at) {
  int64_t m[4][16], c[3][16];
  for (int digit = 0; digit < 4; ++digit) take_digit(lanes->m, m[digit]);
  for (int lane = 0; lane < 16; ++lane) lanes->c[lane] /= 256;
  take_digit(lanes->c, c[0]);
  for (int lane = 0; lane < 16; ++lane) lanes->c[lane] *= -1;
  take_digit(lanes->c, c[1]);
  take_digit(lanes->c, c[2]);
  const int64_t* const constants[] = {m[1], m[0], c[0], m[2], c[1], m[3], c[2]};
  for (int i = 0; i < 7; ++i) at = put_bytes(constants[i], 1, at);
  if (lanes->gap) {
    at = put_bytes(lanes->bound, 1, at);
    at = put_bytes(lanes->d, 1, at);
    at = put_bytes(lanes->c31, -1, at);
  }
  if (lanes->digits == 3) put_bytes(lanes->c39, -1, at);
}

void put_header(const Lanes* lanes, int8_t* at) {
  at[0] = (int8_t)(kLanes + 2 * (lanes->digits - 1) + lanes->gap);
  at[1] = (int8_t)(lanes->shift - 32);
}

static int8_t* spread(int64_t value, int8_t* at) {
  memset(at, (int8_t)value, 16);
  return at + 16;
}

// A number as the sum of two.
static int8_t* spread_halves(int64_t value, int8_t* at) {
  const int64_t half = value / 2 - (value % 2 < 0);
  return spread(value - half, spread(half, at));
}

const int8_t* pack_gate(const MulParams* params) {
  static int8_t packed[16 + 48 + 64 + 176] __attribute__((aligned(16)));
  const int64_t za = params->a_zero_point, zb = params->b_zero_point;
  int64_t low = 0, high = 0;
  for (int corner = 0; corner < 4; ++corner) {
    const int64_t y = ((corner & 1 ? 127 : -128) - za) * ((corner & 2 ? 127 : -128) - zb);
    low = corner && low < y ? low : y;
    high = corner && high > y ? high : y;
  }
  Lanes lanes;
  if (params->shift == 0 || !find_equal_lanes(low, high, 1 << 17, params->multiplier, params->shift,
                                              params->zero_point, &lanes)) {
    return NULL;
  }
  memset(packed, 0, sizeof(packed));
  put_header(&lanes, packed);
  for (int lane = 0; lane < 16; ++lane) lanes.start[lane] += za * zb;
  int8_t* at = put_image(lanes.start, packed + kHeader);
  at = spread_halves(-za, at);
  put_constants(&lanes, spread_halves(-zb, at));
  return packed;
}

// Bounds of c where the outputs are those of ka * a + kb * b + c.
static void bound_sums(const int8_t* outputs, int64_t ka, int64_t kb, int64_t* low, int64_t* high) {
  const int64_t one = 1 << 30;
  *low = INT64_MIN, *high = INT64_MAX;
  for (int64_t a = -128; a < 128; ++a) {
    for (int64_t b = -128; b < 128; ++b) {
      const int64_t q = *outputs++, sum = ka * a + kb * b;
      if (q > -128 && q * one - sum > *low) *low = q * one - sum;
      if (q < 127 && (q + 1) * one - sum - 1 < *high) *high = (q + 1) * one - sum - 1;
    }
  }
}

static int find_sum(const AddParams* p, int64_t* ka, int64_t* kb, int64_t* c) {
  static int8_t outputs[65536];
  for (int32_t i = 0; i < 65536; ++i) {
    const int32_t a = i / 256 - 128 - p->a_zero_point, b = i % 256 - 128 - p->b_zero_point;
    const int32_t sum = reference_rescale(a * (1 << 20), p->a_multiplier, p->a_shift) +
                        reference_rescale(b * (1 << 20), p->b_multiplier, p->b_shift);
    outputs[i] =
        reference_finish(reference_rescale(sum, p->multiplier, p->shift), p->zero_point, NULL);
  }
  const double of_sum = p->multiplier * pow(2, p->shift - 31 + 20 + 30);
  const double a = p->a_multiplier * pow(2, p->a_shift - 31) * of_sum;
  const double b = p->b_multiplier * pow(2, p->b_shift - 31) * of_sum;
  if (a >= 2.1e9 || b >= 2.1e9) return 0;
  for (int i = 0; i < 25; ++i) {
    *ka = (int64_t)rint(a) + i % 5 - 2;
    *kb = (int64_t)rint(b) + i / 5 - 2;
    int64_t low, high;
    bound_sums(outputs, *ka, *kb, &low, &high);
    if (low == INT64_MIN || high == INT64_MAX) return 0;
    *c = low + ((256 - low % 256) % 256 + 256) % 256;
    if (low <= *c && *c <= high) return 1;
  }
  return 0;
}

const int8_t* pack_add(const AddParams* params) {
  static int8_t packed[16 + 13 * 16] __attribute__((aligned(16)));
  int64_t c[16], digit[16], bytes[3][4];
  int64_t sum[3];
  if (!find_sum(params, &sum[0], &sum[1], &sum[2])) return NULL;
  sum[2] /= 256;
  for (int i = 0; i < 3; ++i) {
    for (int lane = 0; lane < 16; ++lane) c[lane] = sum[i];
    for (int byte = 0; byte < 4; ++byte) {
      take_digit(c, digit);
      bytes[i][byte] = byte == 3 ? digit[0] + 256 * c[0] : digit[0];
    }
  }
  const int64_t half = -bytes[2][3];
  const int64_t order[13] = {bytes[0][0],  bytes[1][0], bytes[0][1],  bytes[1][1], -bytes[2][0],
                             bytes[0][2],  bytes[1][2], -bytes[2][1], bytes[0][3], bytes[1][3],
                             -bytes[2][2], half,        half};
  packed[0] = 1, packed[1] = 6;
  int8_t* at = packed + kHeader;
  for (int i = 0; i < 13; ++i) {
    if (order[i] < -128 || order[i] > 127) return NULL;
    at = spread(order[i], at);
  }
  return packed;
}
