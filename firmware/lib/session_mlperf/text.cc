#include "text.h"

#include <string.h>  // strlen

#include "board.h"

namespace text {
namespace {

constexpr char kHex[] = "0123456789abcdef";
constexpr uint64_t kMillion = 1000000;
constexpr double kLargest = 1e12;  // far from where an uint64_t of millionths would overflow

}  // namespace

void Print(const char* string) {
  board::Write(reinterpret_cast<const uint8_t*>(string), strlen(string));
}

void PrintNumber(uint64_t value) {
  char digits[21];  // 2^64 has 20
  char* first = digits + sizeof(digits) - 1;
  *first = '\0';
  do {
    *--first = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  Print(first);
}

void PrintFloat(float value) {
  double magnitude = static_cast<double>(value);
  if (magnitude < 0) {
    Print("-");
    magnitude = -magnitude;
  }
  if (!(magnitude < kLargest)) magnitude = kLargest;  // NaN too
  const uint64_t millionths = static_cast<uint64_t>(magnitude * kMillion + 0.5);
  PrintNumber(millionths / kMillion);
  char decimals[] = ".000000";
  uint64_t left = millionths % kMillion;
  for (size_t i = 6; i > 0; --i, left /= 10) decimals[i] = static_cast<char>('0' + left % 10);
  Print(decimals);
}

void PrintHex(const uint8_t* data, size_t size) {
  for (const uint8_t* end = data + size; data != end; ++data) {
    const char digits[] = {kHex[*data >> 4], kHex[*data & 15], '\0'};
    Print(digits);
  }
}

char* NextWord(char** rest) {
  char* word = *rest;
  while (*word == ' ') ++word;
  if (*word == '\0') return nullptr;
  char* end = word;
  while (*end != ' ' && *end != '\0') ++end;
  *rest = *end == '\0' ? end : end + 1;
  *end = '\0';
  return word;
}

bool ParseNumber(const char* word, uint32_t limit, uint32_t* value) {
  uint64_t number = 0;
  if (*word == '\0') return false;
  for (; *word != '\0'; ++word) {
    if (*word < '0' || *word > '9') return false;
    number = number * 10 + static_cast<uint64_t>(*word - '0');
    if (number > limit) return false;
  }
  *value = static_cast<uint32_t>(number);
  return true;
}

int HexDigit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace text
