// Runs the generated model once and prints, line by line, what each step cost, the whole run's
// instructions and stack, and the logits of a made-up image that any PC can make as well.
#include <stddef.h>
#include <stdint.h>

#include "counter.h"
#include "model.h"

extern uint32_t stack_limit[];

static const uint32_t kPaint = 0xa5c3f10e;
enum { kPaintedWords = 16384 };

// Paints the stack below its caller's.
static uint32_t* paint_stack(void) {
  uint32_t here;
  uint32_t* const top = &here - 16;
  uint32_t* bottom = top - kPaintedWords;
  if (bottom < stack_limit) bottom = stack_limit;
  for (volatile uint32_t* word = bottom; word < top; ++word) *word = kPaint;
  return bottom;
}

static uint32_t used_stack(const uint32_t* bottom, const uint32_t* top) {
  while (bottom < top && *bottom == kPaint) ++bottom;
  return (uint32_t)((const char*)top - (const char*)bottom);
}

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
  uint32_t top;
  const uint32_t* const bottom = paint_stack();
  model_run();
  print_line("total\t%lu", (unsigned long)total);
  print_line("stack_bytes\t%lu", (unsigned long)used_stack(bottom, &top));
  print_line("arena_bytes\t%lu", (unsigned long)model_arena_bytes);
  return 0;
}
