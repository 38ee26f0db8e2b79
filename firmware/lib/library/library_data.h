// Generated for one model's library. Private to it.
#ifndef SWIN2MCU_LIBRARY_DATA_H_
#define SWIN2MCU_LIBRARY_DATA_H_

#include <stdint.h>

// exp((logit - largest logit) / temperature) of the int8 logit i - 128; never above 1.
extern const double library_powers[256];
// Answers whose powers sum to less are "not sure"; 0 where the model was not calibrated.
extern const double library_least_sum;

// [channels][256]: what the network takes for the byte i - 128; 0 where that is the byte itself.
extern const int8_t* const library_input_table;

extern const int8_t library_test_image[];
extern const uint32_t library_test_image_bytes;
extern const int8_t library_test_logits[];

#endif  // SWIN2MCU_LIBRARY_DATA_H_
