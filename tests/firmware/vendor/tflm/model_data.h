#pragma once
#include <cstddef>
#include <cstdint>

namespace model {

constexpr uint16_t kHeight = 2, kWidth = 2, kChannels = 3, kClassCount = 2;
constexpr size_t kArenaBytes = 64, kDataBytes = 1;
extern const unsigned char kData[kDataBytes];
extern const uint8_t kSha256[32];

}  // namespace model
