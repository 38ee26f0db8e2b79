#include "cases.h"

#include <string.h>

#include "counter.h"
#include "random.h"

static int32_t random_multiplier(void) {
  const int32_t kind = random_between(0, 7);
  if (kind == 0) return 1 << 30;  // the multiplier that gives the most ties
  if (kind == 1) return INT32_MAX;
  return random_between(1 << 30, INT32_MAX);
}

void random_table(int8_t* table) {
  for (int32_t i = 0; i < 256; ++i) table[i] = (int8_t)random_bits();
}

void random_requant(RandomRequant* random, int32_t channels, int32_t products) {
  const int simple = random_between(0, 3) > 0 ? random_between(1, 2) : 0;
  const int alike = simple && random_between(0, 1);  // no channel stands out
  int32_t usual_shift = 0;                           // the shift that maps a usual sum to int8
  while ((1 << (2 * usual_shift)) < products) ++usual_shift;
  usual_shift += alike ? random_between(2, 7) : 5;
  for (int32_t c = 0; c < channels; ++c) {
    const int32_t kind = alike ? 7 : random_between(0, 7);
    random->multiplier[c] = random_multiplier();
    if (simple) {
      random->bias[c] = kind ? random_between(-9999, 9999) : random_between(-500000000, 500000000);
      random->shift[c] = (int8_t)(kind > 2 ? -usual_shift - random_between(0, alike ? 1 : 2)
                                           : -random_between(simple - 1, 22));
      if (kind == 1 && simple == 1) {  // nothing is promised of such a channel
        random->bias[c] = (int32_t)random_bits();
        random->shift[c] = (int8_t)random_between(1, 9);
      }
    } else {
      random->bias[c] = kind ? random_between(-9999, 9999) : (int32_t)random_bits();
      random->shift[c] =
          (int8_t)(kind > 3 ? -usual_shift - random_between(0, 2) : random_between(-31, 9));
      if (kind == 1) random->multiplier[c] = 0;
    }
  }
  random_table(random->table);
  random->requant = (Requant){
      .bias = random->folded,
      .multiplier = random->multiplier,
      .shift = random->shift,
      .table = random_between(0, 1) ? random->table : NULL,
      .zero_point = random_between(0, 3) ? random_between(-128, 127) : -128,
      .simple = simple,
  };
}

void fold_bias(RandomRequant* random, int32_t channel, int32_t weight_sum, int32_t zero_point) {
  random->folded[channel] =
      (int32_t)((uint32_t)random->bias[channel] - (uint32_t)(weight_sum * zero_point));
}

int8_t* open_buffer(int8_t* storage, int32_t bytes) {
  memset(storage, 0x5a, (size_t)(bytes + 2 * kGuard));
  return storage + kGuard;
}

int buffer_intact(const int8_t* storage, int32_t bytes) {
  for (int32_t i = 0; i < kGuard; ++i) {
    if (storage[i] != 0x5a || storage[kGuard + bytes + i] != 0x5a) return 0;
  }
  return 1;
}

int differs(const char* what, const int8_t* got, const int8_t* wanted, int32_t count) {
  for (int32_t i = 0; i < count; ++i) {
    if (got[i] != wanted[i]) {
      print_line("%s: byte %d of %d is %d, not %d", what, (int)i, (int)count, got[i], wanted[i]);
      return 1;
    }
  }
  return 0;
}
