// What the assembly has cost so far.
#ifndef TESTS_FIRMWARE_XTENSA_STUBS_H_
#define TESTS_FIRMWARE_XTENSA_STUBS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C"
#endif
    uint64_t
    xtensa_instructions(void);

#endif  // TESTS_FIRMWARE_XTENSA_STUBS_H_
