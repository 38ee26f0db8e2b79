// Text without the C library's printf, whose floats cost a board tens of kilobytes.
#ifndef SWIN2MCU_SESSION_MLPERF_TEXT_H_
#define SWIN2MCU_SESSION_MLPERF_TEXT_H_

#include <stddef.h>
#include <stdint.h>

namespace text {

// To the board's line.
void Print(const char* string);
void PrintNumber(uint64_t value);
void PrintFloat(float value);  // with six decimals
void PrintHex(const uint8_t* data, size_t size);

// Splits `*rest` at its spaces: ends the next word with a zero, moves `*rest` behind it and returns
// the word, or null where there is none.
char* NextWord(char** rest);

// Digits alone, at most `limit`; false for anything else.
bool ParseNumber(const char* word, uint32_t limit, uint32_t* value);

// 0 to 15, or -1 for what is no hexadecimal digit.
int HexDigit(char digit);

}  // namespace text

#endif  // SWIN2MCU_SESSION_MLPERF_TEXT_H_
