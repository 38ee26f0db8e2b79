/* An arena that internal RAM cannot hold goes to PSRAM: ARENA_IN_PSRAM is set by
   src/CMakeLists.txt. Constants stay in flash by themselves. */
#ifdef ARENA_IN_PSRAM
#define MODEL_ARENA_SECTION __attribute__((section(".ext_ram.bss")))
#endif
