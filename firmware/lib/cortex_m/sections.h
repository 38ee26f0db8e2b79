/* Where bare Cortex-M boards keep the model's weights: cortex_m.ld puts this section into the
   memory that the board's memory.ld calls WEIGHTS. The build includes this file before all others.
 */
#define MODEL_WEIGHTS_SECTION __attribute__((section(".model_weights")))
