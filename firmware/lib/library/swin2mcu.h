// One trained classifier as a library: fill the input, ask for the answer.
//
//   vision_rows(...) or your own code ──► swin2mcu_input() ──► swin2mcu_classify()
//
// No heap, no interpreter, no start-up code. All memory is static; not reentrant. For frames of a
// camera see vision/vision.h.
#ifndef SWIN2MCU_H_
#define SWIN2MCU_H_

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  const char* name;
  const char* const* classes;  // class_count names
  uint16_t class_count;
  uint16_t height, width, channels;  // of the input, NHWC; a byte is pixel - 128
  uint32_t arena_bytes;              // all RAM of the network besides the stack
  const uint8_t* sha256;             // 32 bytes: of the .tflite file it was made from
  bool center_crop;                  // how a frame that is not square becomes the input
  bool calibrated;                   // whether `sure` of an answer means anything
} Swin2mcuFacts;

extern const Swin2mcuFacts swin2mcu_facts;

typedef struct {
  uint16_t class_index;  // the first of the likeliest
  const char* label;
  float probability;  // calibrated where the facts say so
  bool sure;          // false: "not sure", the picture may show something else
} Swin2mcuAnswer;

// height * width * channels bytes, pixel - 128 each: the library converts them if its network was
// trained with another normalization. Running overwrites them: fill all before each answer.
int8_t* swin2mcu_input(void);

// Runs the network once on the input.
Swin2mcuAnswer swin2mcu_classify(void);

// class_count int8 logits of the last run, valid until the input is written again.
const int8_t* swin2mcu_logits(void);

// Runs the embedded picture; returns whether every logit is the one that the PC computed.
bool swin2mcu_self_test(void);

#ifdef __cplusplus
}
#endif

#endif  // SWIN2MCU_H_
