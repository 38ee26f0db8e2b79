// Runs the generated model once and prints, line by line, what each step cost, the whole run's
// instructions and stack, and the logits of an image that it generates, and that a PC can generate
// too.
#include <stdint.h>

#include "counter.h"
#include "model.h"

static void make_image(void) {
  const uint32_t bytes = (uint32_t)model_input_height * model_input_width * model_input_channels;
  int8_t* const input = model_input();
  for (uint32_t i = 0; i < bytes; ++i) input[i] = (int8_t)(i * 37 + i / 251 * 11);
}

int main(void) {
  make_image();
  uint32_t total = 0;
  for (uint16_t i = 0; i < model_step_count; ++i) {
    start_count();
    model_steps[i].run();
    const uint32_t instructions = end_count();
    total += instructions;
    print_line("step\t%s\t%s\t%lu", model_steps[i].name, model_steps[i].operators,
               (unsigned long)instructions);
  }
  for (uint16_t i = 0; i < model_class_count; ++i) print_line("logit\t%d", model_output()[i]);

  make_image();
  start_stack();
  model_run();
  print_line("stack_bytes\t%lu", (unsigned long)end_stack());
  print_line("arena_bytes\t%lu", (unsigned long)model_arena_bytes);
  print_line("total\t%lu", (unsigned long)total);
  return 0;
}
