// See shallow.h: four channels of up to sixteen inputs, or two of up to 32 for two pixels at a
// time.
#include "shallow.h"

#include "requantize.h"

enum { kLanes = 4 };

// Constants of a layer and of its four sums.
typedef struct {
  int32_t bias[kLanes];
  int32_t offsets[kLanes];  // of the four outputs
  int32_t zero_point;       // and 128 more where there is a table
  const int8_t* table;
} Shallow;

// clang-format off
#define RESCALE_AND_STORE(saturate, store)                        \
  "vshr.s32 q1, q0, #31\n"                                        \
  "vqrdmulh.s32 q0, q0, %q[multiplier]\n"                         \
  "vadd.i32 q0, q0, q1\n"                                         \
  "vrshl.s32 q0, q0, %q[shift]\n"                                 \
  "vqadd.s32 q0, q0, %[zero_point]\n" saturate("q0", "q1", "%[table]") store \
  "add %[out], %[step]\n"

#define FOUR_OF_16(load, saturate)                                \
  __asm__ volatile(                                               \
      "add r2, r0, %[k]\n"                                        \
      "add r4, r2, %[k]\n"                                        \
      "vctp.8 %[k]\n"                                             \
      "vpst\n"                                                    \
      "vldrbt.8 q4, [r0]\n"                                       \
      "add r0, r4, %[k]\n"                                        \
      "vpsttt\n"                                                  \
      "vldrbt.8 q5, [r2]\n"                                       \
      "vldrbt.8 q6, [r4]\n"                                       \
      "vldrbt.8 q7, [r0]\n"                                       \
      "dls lr, r6\n"                                              \
      "1: " load                                                  \
      "add %[column], %[k]\n"                                     \
      "ldm %[bias], {r0, r2, r4, r6}\n"                           \
      "vmladava.s8 r0, q1, q4\n"                                  \
      "vmladava.s8 r2, q1, q5\n"                                  \
      "vmladava.s8 r4, q1, q6\n"                                  \
      "vmladava.s8 r6, q1, q7\n"                                  \
      "vmov d0, r0, r2\n"                                         \
      "vmov d1, r4, r6\n"                                         \
      RESCALE_AND_STORE(saturate, "vstrb.32 q0, [%[out]]\n")      \
      "le lr, 1b"                                                 \
      SHALLOW_OPERANDS)

#define TWO_OF_32(saturate)                                       \
  __asm__ volatile(                                               \
      "add r2, r0, %[k]\n"                                        \
      "sub r4, %[k], #16\n"                                       \
      "vctp.8 r4\n"                                               \
      "vldrb.8 q4, [r0]\n"                                        \
      "vldrb.8 q6, [r2]\n"                                        \
      "vpstt\n"                                                   \
      "vldrbt.8 q5, [r0, #16]\n"                                  \
      "vldrbt.8 q7, [r2, #16]\n"                                  \
      "dls lr, r6\n"                                              \
      "1: ldm %[bias], {r0, r2, r4, r6}\n"                        \
      "vldrb.8 q1, [%[column]]\n"                                 \
      "vmladava.s8 r0, q1, q4\n"                                  \
      "vpst\n"                                                    \
      "vldrbt.8 q0, [%[column], #16]\n"                           \
      "vmladava.s8 r2, q1, q6\n"                                  \
      "add %[column], %[k]\n"                                     \
      "vmladava.s8 r0, q0, q5\n"                                  \
      "vldrb.8 q1, [%[column]]\n"                                 \
      "vmladava.s8 r2, q0, q7\n"                                  \
      "vpst\n"                                                    \
      "vldrbt.8 q0, [%[column], #16]\n"                           \
      "vmladava.s8 r4, q1, q4\n"                                  \
      "vmladava.s8 r6, q1, q6\n"                                  \
      "add %[column], %[k]\n"                                     \
      "vmladava.s8 r4, q0, q5\n"                                  \
      "vmladava.s8 r6, q0, q7\n"                                  \
      "vmov d0, r0, r2\n"                                         \
      "vmov d1, r4, r6\n"                                         \
      RESCALE_AND_STORE(saturate, "vldrw.32 q1, [%[bias], #16]\n" \
                                  "vstrb.32 q0, [%[out], q1]\n")  \
      "le lr, 1b"                                                 \
      SHALLOW_OPERANDS)

#define SHALLOW_OPERANDS                                                                       \
      : [column] "+r"(column), [out] "+l"(out), "+r"(r0), "+r"(r6)                             \
      : [k] "r"(k), [step] "r"(step), [bias] "r"(shallow->bias),                               \
        [zero_point] "r"(shallow->zero_point), [table] "r"(shallow->table),                    \
        [multiplier] "w"(multiplier), [shift] "w"(shift)                                       \
      : "r2", "r4", "q0", "q1", "q4", "q5", "q6", "q7", "lr", "memory"
// clang-format on

#define ALL_INPUTS "vldrb.8 q1, [%[column]]\n"
#define FEW_INPUTS "vpst\nvldrbt.8 q1, [%[column]]\n"

// Four channels of `pixels` columns of k <= 16 inputs. (A separate function, because this changes
// the predicate register, which GCC 12 cannot list as clobbered; a call may change it.)
static __attribute__((noinline)) void multiply_16(const Shallow* shallow, const int8_t* column,
                                                  int32_t k, int32_t pixels, const int8_t* weights,
                                                  int32x4_t multiplier, int32x4_t shift,
                                                  int8_t* out, int32_t step) {
  register const int8_t* r0 __asm__("r0") = weights;
  register int32_t r6 __asm__("r6") = pixels;
  if (shallow->table) {
    if (k == 16) {
      FOUR_OF_16(ALL_INPUTS, LOOK_UP_SATURATED);
    } else {
      FOUR_OF_16(FEW_INPUTS, LOOK_UP_SATURATED);
    }
  } else if (k == 16) {
    FOUR_OF_16(ALL_INPUTS, SATURATE);
  } else {
    FOUR_OF_16(FEW_INPUTS, SATURATE);
  }
}

// Two channels of `pairs` pairs of columns of 16 < k <= 32 inputs.
static __attribute__((noinline)) void multiply_32(const Shallow* shallow, const int8_t* column,
                                                  int32_t k, int32_t pairs, const int8_t* weights,
                                                  int32x4_t multiplier, int32x4_t shift,
                                                  int8_t* out, int32_t step) {
  register const int8_t* r0 __asm__("r0") = weights;
  register int32_t r6 __asm__("r6") = pairs;
  if (shallow->table) {
    TWO_OF_32(LOOK_UP_SATURATED);
  } else {
    TWO_OF_32(SATURATE);
  }
}

int32_t kernel_convolve_shallow(const int8_t* columns, int32_t pixels, int32_t k, int32_t cout,
                                const int8_t* weights, const Requant* requant, int8_t* out) {
  const int32_t channels = k <= 16 ? 4 : 2;  // at a time
  const Finish finish = finish_of(requant->zero_point, requant->table);
  Shallow shallow = {
      .offsets = {0, 1, cout, cout + 1}, .zero_point = finish.zero_point, .table = requant->table};
  int32_t c = 0;
  for (; c + channels <= cout; c += channels) {
    // Lanes of two channels repeat them for the second pixel.
    const uint32x4_t lane = k <= 16 ? vidupq_n_u32(0, 1) : viwdupq_n_u32(0, 2, 1);
    vstrwq_s32(shallow.bias, vldrwq_gather_shifted_offset_s32(requant->bias + c, lane));
    const int32x4_t multiplier = vldrwq_gather_shifted_offset_s32(requant->multiplier + c, lane);
    const int32x4_t shift = vldrbq_gather_offset_s32(requant->shift + c, lane);
    if (k <= 16) {
      multiply_16(&shallow, columns, k, pixels, weights + c * k, multiplier, shift, out + c, cout);
    } else {
      multiply_32(&shallow, columns, k, pixels / 2, weights + c * k, multiplier, shift, out + c,
                  2 * cout);
    }
  }
  return c;
}
