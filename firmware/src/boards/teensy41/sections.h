/* Teensy's start-up copies constants into RAM unless they are marked to stay in flash. The build
   includes this file before all others. */
#define MODEL_WEIGHTS_SECTION __attribute__((section(".progmem")))
