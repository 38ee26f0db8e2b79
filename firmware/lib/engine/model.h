/* What `python -m tinyml.aot` generates, as the rest of the firmware sees it.

   model.c (and its data in model_data.h) defines everything below and links against one variant
   of lib/kernels. No heap, no start-up code, no state besides the arena: model_run() may be called
   again and again, each time after filling model_input(). Not reentrant. */
#ifndef SWIN2MCU_MODEL_H_
#define SWIN2MCU_MODEL_H_

#include <stdint.h>

/* A board defines these where the linker's default places are too small, for example
   -DMODEL_WEIGHTS_SECTION='__attribute__((section(".psram_data")))'. */
#ifndef MODEL_ARENA_SECTION
#define MODEL_ARENA_SECTION
#endif
#ifndef MODEL_WEIGHTS_SECTION
#define MODEL_WEIGHTS_SECTION
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* One stretch of the generated code, timed as one in a profile. */
typedef struct {
  const char* name;      /* a C identifier, unique within the model */
  const char* operators; /* the .tflite operators it stands for, "CONV_2D 0, HARD_SWISH 1" */
  void (*run)(void);
} ModelStep;

extern const uint8_t model_sha256[32]; /* of the .tflite file, as in its card */
extern const uint16_t model_input_height;
extern const uint16_t model_input_width;
extern const uint16_t model_input_channels;
extern const uint16_t model_class_count;
extern const char* const model_labels[]; /* model_class_count names, in the order of the output */
extern const float model_output_scale;   /* logit = scale * (output - zero point) */
extern const int32_t model_output_zero_point;
extern const uint32_t model_arena_bytes; /* all RAM the model uses besides the stack */

/* height * width * channels bytes (NHWC) of the .tflite's int8 input, or its uint8 input less 128;
   of this project's networks, pixel - 128. It lies inside the arena, and running
   overwrites it: fill it before each run. */
int8_t* model_input(void);

/* model_class_count int8 logits, valid from the end of a run until the input is written again. */
const int8_t* model_output(void);

extern const ModelStep model_steps[]; /* in the order they must run */
extern const uint16_t model_step_count;

void model_run(void); /* all steps in order */

#ifdef __cplusplus
}
#endif

#endif /* SWIN2MCU_MODEL_H_ */
