/* Where the arena goes when the memory choice says PSRAM: src/CMakeLists.txt sets ARENA_IN_PSRAM.
   Constants need no section: ESP-IDF leaves them in flash or copies all of them to PSRAM. */
#ifdef ARENA_IN_PSRAM
#define MODEL_ARENA_SECTION __attribute__((section(".ext_ram.bss")))
#endif
