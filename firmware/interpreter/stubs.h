// What the assembly has cost so far.
#ifndef FIRMWARE_INTERPRETER_STUBS_H_
#define FIRMWARE_INTERPRETER_STUBS_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C"
#endif
    uint64_t
    xtensa_instructions(void);

#endif  // FIRMWARE_INTERPRETER_STUBS_H_
