// Addition, multiplication and mean, one element at a time: by elementwise.S if shifts are to the
// right and at most 22, as quantizers make them, else in C.
#include "../kernels.h"
#include "../requantize.h"
#include "pie.h"

// Whether the assembly can rescale by this shift; if so, its parameters.
static int scale_of(int32_t multiplier, int32_t shift, int32_t zero_point, PieScale* scale) {
  if (shift > 0 || shift < -22) return 0;
  const int32_t rounding = shift ? (2 * zero_point + 1) * (1 << -shift) : 2 * zero_point;
  *scale = (PieScale){multiplier, 1 + rounding, shift ? -1 : 0, 1 - shift};
  return 1;
}

static uint32_t table_word(const int8_t* table) { return table ? word_of(table + 128) : 0; }

static int8_t sum_of_two(int8_t a, int8_t b, const AddParams* params) {
  const int32_t first =
      rescale((a - params->a_zero_point) * (1 << 20), params->a_multiplier, params->a_shift);
  const int32_t second =
      rescale((b - params->b_zero_point) * (1 << 20), params->b_multiplier, params->b_shift);
  return finish(rescale(first + second, params->multiplier, params->shift), params->zero_point,
                params->table);
}

static int aligned(const void* pointer) { return (uintptr_t)pointer % kVector == 0; }

// The elements in whole vectors of sixteen.
static int32_t add_in_lanes(const int8_t* a, const int8_t* b, int32_t count,
                            const AddParams* params, int8_t* out) {
  if (!params->packed || count < kVector || !aligned(a) || !aligned(b) || !aligned(out)) return 0;
  PieAddLanes add = {.a = word_of(a),
                     .b = word_of(b),
                     .out = word_of(out),
                     .packed = word_of(params->packed),
                     .vectors = count / kVector,
                     .table = params->table ? word_of(params->table) : 0};
  pie_add_lanes(&add);
  return count / kVector * kVector;
}

void kernel_add(const int8_t* a, const int8_t* b, int32_t count, const AddParams* params,
                int8_t* out) {
  const int32_t done = add_in_lanes(a, b, count, params, out);
  a += done, b += done, out += done, count -= done;
  if (count == 0) return;
  PieAdd add = {.a = word_of(a),
                .b = word_of(b),
                .out = word_of(out),
                .count = count,
                .first = {.zero_point = params->a_zero_point},
                .second = {.zero_point = params->b_zero_point},
                .table = table_word(params->table)};
  if (scale_of(params->a_multiplier, params->a_shift, 0, &add.first.scale) &&
      scale_of(params->b_multiplier, params->b_shift, 0, &add.second.scale) &&
      scale_of(params->multiplier, params->shift, params->zero_point, &add.result)) {
    (params->table ? pie_add_table : pie_add)(&add);
    return;
  }
  for (int32_t i = 0; i < count; ++i) out[i] = sum_of_two(a[i], b[i], params);
}

static int8_t product(int8_t a, int8_t b, const MulParams* params) {
  const int32_t x = (a - params->a_zero_point) * (b - params->b_zero_point);
  return finish(rescale(x, params->multiplier, params->shift), params->zero_point, params->table);
}

void kernel_mul(const int8_t* a, const int8_t* b, int32_t count, const MulParams* params,
                int8_t* out) {
  for (int32_t i = 0; i < count; ++i) out[i] = product(a[i], b[i], params);
}

typedef void GateFunction(PieGateLanes* gate);
#define NAME(name) name,
static GateFunction* const kGateFunctions[] = {PIE_GATE_LANES_FUNCTIONS(NAME)};

static int gate_in_lanes(const int8_t* in, const int8_t* gate, int32_t pixels, int32_t channels,
                         const MulParams* params, int8_t* out) {
  if (!params->packed || channels % kVector || !aligned(in) || !aligned(gate) || !aligned(out)) {
    return 0;
  }
  PieGateLanes all = {.in = word_of(in),
                      .gate = word_of(gate),
                      .out = word_of(out),
                      .packed = word_of(params->packed),
                      .groups = channels / kVector,
                      .pixels = pixels,
                      .step = channels,
                      .table = params->table ? word_of(params->table) : 0};
  kGateFunctions[*params->packed - kLanes](&all);
  return 1;
}

void kernel_mul_gate(const int8_t* in, const int8_t* gate, int32_t pixels, int32_t channels,
                     const MulParams* params, int8_t* out) {
  if (gate_in_lanes(in, gate, pixels, channels, params, out)) return;
  PieScale scale;
  if (scale_of(params->multiplier, params->shift, params->zero_point, &scale) && params->shift) {
    PieGate all = {.in = word_of(in),
                   .gate = word_of(gate),
                   .out = word_of(out),
                   .pixels = pixels,
                   .channels = channels,
                   .step = channels,
                   .in_zero_point = params->a_zero_point,
                   .gate_zero_point = params->b_zero_point,
                   .multiplier = scale.multiplier,
                   .added = scale.added,
                   .shift = scale.shift,
                   .table = table_word(params->table)};
    (params->table ? pie_gate_table : pie_gate)(&all);
    return;
  }
  for (int32_t p = 0; p < pixels; ++p, in += channels, out += channels) {
    kernel_mul(in, gate, channels, params, out);
  }
}

// The assembly accepts sums below 2^29, which fewer than two million pixels cannot exceed.
enum { kMostBias = 1 << 28 };

void kernel_mean(const int32_t* sums, int32_t channels, const MeanParams* params, int8_t* out) {
  PieMean mean = {.sums = word_of(sums),
                  .out = word_of(out),
                  .channels = channels,
                  .bias = params->bias,
                  .table = table_word(params->table)};
  const int small = params->bias > -kMostBias && params->bias < kMostBias;
  if (small && scale_of(params->multiplier, params->shift, params->zero_point, &mean.scale)) {
    (params->table ? pie_mean_table : pie_mean)(&mean);
    return;
  }
  for (int32_t c = 0; c < channels; ++c) {
    const int32_t sum = wrapping_add(sums[c], params->bias);
    out[c] =
        finish(rescale(sum, params->multiplier, params->shift), params->zero_point, params->table);
  }
}
