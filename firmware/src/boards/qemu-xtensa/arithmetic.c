// Products of 64 bits and quotients, which Debian's libgcc for this core lacks; the compiler calls
// them by these names. Kernels divide once for each pooled channel, so one bit at a time is fast
// enough.
#include <stdint.h>

uint64_t __umulsidi3(uint32_t a, uint32_t b);
int64_t __muldi3(int64_t a, int64_t b);
uint32_t __udivsi3(uint32_t a, uint32_t b);
uint32_t __umodsi3(uint32_t a, uint32_t b);
int32_t __divsi3(int32_t a, int32_t b);
int64_t __divdi3(int64_t a, int64_t b);

// From four products of 16 bits, because the core cannot give the upper half of a 32-bit product.
uint64_t __umulsidi3(uint32_t a, uint32_t b) {
  const uint32_t a_low = a & 0xFFFF, a_high = a >> 16;
  const uint32_t b_low = b & 0xFFFF, b_high = b >> 16;
  const uint32_t low = a_low * b_low;
  const uint32_t middle = a_high * b_low + (low >> 16);  // at most 2^32 - 2^16
  const uint32_t other = a_low * b_high + (middle & 0xFFFF);
  const uint32_t high = a_high * b_high + (middle >> 16) + (other >> 16);
  return (uint64_t)high << 32 | (other << 16 | (low & 0xFFFF));
}

int64_t __muldi3(int64_t a, int64_t b) {
  const uint32_t a_low = (uint32_t)a, b_low = (uint32_t)b;
  const uint32_t a_high = (uint32_t)(a >> 32), b_high = (uint32_t)(b >> 32);
  const uint64_t product = __umulsidi3(a_low, b_low);
  const uint32_t high = (uint32_t)(product >> 32) + a_low * b_high + a_high * b_low;
  return (int64_t)((uint64_t)high << 32 | (uint32_t)product);
}

uint32_t __udivsi3(uint32_t a, uint32_t b) {
  uint32_t quotient = 0, rest = 0;
  for (int bit = 31; bit >= 0; --bit) {
    const uint32_t carry = rest >> 31;
    rest = rest << 1 | (a >> bit & 1);
    if (carry || rest >= b) {
      rest -= b;
      quotient |= 1u << bit;
    }
  }
  return quotient;
}

uint32_t __umodsi3(uint32_t a, uint32_t b) { return a - __udivsi3(a, b) * b; }

int32_t __divsi3(int32_t a, int32_t b) {
  const uint32_t top = a < 0 ? -(uint32_t)a : (uint32_t)a;
  const uint32_t bottom = b < 0 ? -(uint32_t)b : (uint32_t)b;
  const uint32_t quotient = __udivsi3(top, bottom);
  return (int32_t)((a < 0) != (b < 0) ? -quotient : quotient);
}

int64_t __divdi3(int64_t a, int64_t b) {
  const uint64_t top = a < 0 ? -(uint64_t)a : (uint64_t)a;
  const uint64_t bottom = b < 0 ? -(uint64_t)b : (uint64_t)b;
  uint64_t quotient = 0, rest = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const uint64_t carry = rest >> 63;
    rest = rest << 1 | (top >> bit & 1);
    if (carry || rest >= bottom) {
      rest -= bottom;
      quotient |= (uint64_t)1 << bit;
    }
  }
  return (int64_t)((a < 0) != (b < 0) ? -quotient : quotient);
}
