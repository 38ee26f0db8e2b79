// From reset to bare::Start(), and what happens on an interrupt or a fault.
#include "bare.h"

extern "C" [[noreturn]] void Fault();

// Exceptions go to fixed offsets from VECBASE (Xtensa ISA Reference Manual, relocatable vectors);
// which ones is a property of the core. The only interrupt is the serial port's: it ends the wait
// in board::Read(), so the handler turns interrupts off and returns. Cause 4 is an interrupt.
asm(R"(
    .section .vectors, "ax"
    .balign 1024
vectors:
    .balign 16
    j to_fault  # a slot that this core does not use
    .balign 16
    j to_fault  # 0x10: debug
    .balign 16
    j to_fault  # 0x20: not maskable
    .balign 16
    wsr.excsave1 a2  # 0x30: kernel exception, because PS.UM is always 0 here
    rsr.exccause a2
    bnei a2, 4, to_fault
    movi a2, 0
    wsr.intenable a2
    rsr.excsave1 a2
    rfe
    .balign 16
    j to_fault  # 0x50: user exception
    .balign 16
    j to_fault
    .balign 16  # 0x70: double exception
to_fault:
    movi a1, stack_top
    j Fault

    .literal_position
    .global Reset
    .balign 4
Reset:
    movi a1, stack_top
    movi a2, vectors
    wsr.vecbase a2
    movi a2, 0
    wsr.intenable a2
    movi a2, 1  # PS: interrupts of level 1 masked, exceptions taken
    wsr.ps a2
    rsync
    movi a0, 0
    j StartProgram
    .previous
)");

extern "C" void StartProgram() { bare::Start(); }

// A fault resets the board: the host notices the new boot number; it could not notice a hang.
void Fault() {
  *reinterpret_cast<volatile uint32_t*>(0x9D020010) = 0xDEAD;  // the machine's reset register
  for (;;) {
  }
}
