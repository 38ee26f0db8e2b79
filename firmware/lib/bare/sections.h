/* Where boards without an operating system keep the model's weights: bare.ld puts this section into
   the memory that the board's memory.ld calls WEIGHTS. The build includes this file first. */
#define MODEL_WEIGHTS_SECTION __attribute__((section(".model_weights")))
