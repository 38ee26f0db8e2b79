// 64-bit products, which Debian's libgcc for this core lacks; the compiler calls them by these
// names.
#include <stdint.h>

uint64_t __umulsidi3(uint32_t a, uint32_t b);
int64_t __muldi3(int64_t a, int64_t b);

// From four products of 16 bits, because the core has no high half of a 32-bit one.
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
