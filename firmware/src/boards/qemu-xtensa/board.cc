// QEMU's lx60-nommu with an lx106 core: a 16550 serial port, and the processor's cycle counter,
// which counts virtual time.
#include "board.h"

#include "bare.h"

namespace {

// Registers of the 16550, a word apart.
struct Uart {
  volatile uint32_t data;
  volatile uint32_t interrupts;
  volatile uint32_t fifo_control;
  volatile uint32_t line_control;
  volatile uint32_t modem_control;
  volatile uint32_t line_status;
};

constexpr uint32_t kReceiveInterrupt = 1;
constexpr uint32_t kFifoOn = 1;
constexpr uint32_t kEightBits = 3;
constexpr uint32_t kReceived = 0x01, kTransmitEmpty = 0x20;
constexpr uint32_t kUartInterrupt = 1 << 0;

// With -icount shift=0 an instruction takes 1 ns, and QEMU gives this core a clock of 40 MHz.
constexpr uint32_t kInstructionsPerTick = 25;

// QEMU writes another number here at each start (-device loader); a reset adds one to the second,
// which survives it.
__attribute__((section(".noinit.seed"), used)) volatile uint32_t boot_seed;
__attribute__((section(".noinit"))) volatile uint32_t boot_count;

Uart* Port() { return reinterpret_cast<Uart*>(0x9D050020); }

bool HasReceived() { return Port()->line_status & kReceived; }

// Sleeps until the port has a byte. An interrupt between the check and the wait stays pending,
// because level 1 is masked until `waiti`; its handler turns it off again.
void WaitForByte() {
  uint32_t state;
  asm volatile("rsil %0, 1" : "=r"(state)::"memory");
  if (HasReceived()) return;
  asm volatile("wsr.intenable %0\n rsync\n waiti 0" ::"r"(kUartInterrupt) : "memory");
}

}  // namespace

namespace board {

void Init() {
  boot_count = boot_count + 1;
  Port()->fifo_control = kFifoOn;
  Port()->line_control = kEightBits;
  Port()->interrupts = kReceiveInterrupt;
}

const char* Name() { return "qemu-xtensa"; }

size_t Read(uint8_t* data, size_t capacity) {
  while (!HasReceived()) WaitForByte();
  size_t size = 0;
  while (size < capacity && HasReceived()) data[size++] = static_cast<uint8_t>(Port()->data);
  return size;
}

void Write(const uint8_t* data, size_t size) {
  for (const uint8_t* end = data + size; data != end; ++data) {
    while (!(Port()->line_status & kTransmitEmpty)) {
    }
    Port()->data = *data;
  }
}

uint32_t Clock() {
  uint32_t ticks;
  asm volatile("rsr.ccount %0" : "=r"(ticks));
  return ticks;
}

uint32_t Cost(uint32_t ticks) {
  constexpr uint32_t kMost = UINT32_MAX / kInstructionsPerTick;
  return ticks < kMost ? ticks * kInstructionsPerTick : UINT32_MAX;
}

CostUnit Unit() { return CostUnit::kInstructions; }
uint32_t BootNumber() { return boot_seed + boot_count; }
uint32_t StackBytes() { return bare::StackBytes(); }
uint32_t ChipId() { return 0; }
uint32_t ClockHz() { return 0; }

}  // namespace board
