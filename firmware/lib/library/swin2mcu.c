#include "swin2mcu.h"

#include <string.h>  // memcpy, memcmp

#include "library_data.h"
#include "model.h"

int8_t* swin2mcu_input(void) { return model_input(); }
const int8_t* swin2mcu_logits(void) { return model_output(); }

static void run(void) {
  const Swin2mcuFacts* const facts = &swin2mcu_facts;
  if (library_input_table) {
    int8_t* input = model_input();
    for (uint32_t i = 0; i < (uint32_t)facts->height * facts->width; ++i) {
      for (uint16_t c = 0; c < facts->channels; ++c, ++input) {
        *input = library_input_table[256 * c + *input + 128];
      }
    }
  }
  model_run();
}

Swin2mcuAnswer swin2mcu_classify(void) {
  run();
  const int8_t* const logits = model_output();
  uint16_t best = 0;
  double sum = 0;  // of exp(logit / temperature), up to a constant factor
  for (uint16_t i = 0; i < model_class_count; ++i) {
    if (logits[i] > logits[best]) best = i;
    sum += library_powers[logits[i] + 128];
  }
  const double top = library_powers[logits[best] + 128];
  return (Swin2mcuAnswer){best, model_labels[best], (float)(top / sum), sum >= library_least_sum};
}

bool swin2mcu_self_test(void) {
  memcpy(model_input(), library_test_image, library_test_image_bytes);
  run();
  return memcmp(model_output(), library_test_logits, model_class_count) == 0;
}
