#include "random.h"

static uint32_t state = 1;

void seed_random(uint32_t seed) { state = seed * 2654435761u + 1; }

uint32_t random_bits(void) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

int32_t random_between(int32_t low, int32_t high) {
  return low + (int32_t)(random_bits() % (uint32_t)(high - low + 1));
}

void random_bytes(int8_t* bytes, int32_t count, int32_t low) {
  const int32_t character = random_between(0, 5);
  const int8_t constant = (int8_t)random_between(low, 127);
  for (int32_t i = 0; i < count; ++i) {
    if (character == 0) {
      bytes[i] = constant;
    } else if (character == 1) {
      bytes[i] = (int8_t)(random_bits() % 2 ? low : 127);
    } else {
      bytes[i] = (int8_t)random_between(low, 127);
    }
  }
}
