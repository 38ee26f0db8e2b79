// A Cortex-M machine that QEMU emulates: a CMSDK serial port, and virtual time for a clock.
//
// The port is polled and never interrupts, so that traffic on the line adds nothing to a count of
// instructions. It holds one byte; QEMU keeps the next until that one is taken.
#include "bare.h"
#include "board.h"
#include "cortex_m.h"
#include "machine.h"

namespace {

struct Uart {
  volatile uint32_t data;
  volatile uint32_t state;
  volatile uint32_t control;
  volatile uint32_t interrupts;
  volatile uint32_t baud_divisor;
};

constexpr uint32_t kTransmitFull = 1, kReceiveFull = 2;
constexpr uint32_t kEnableTransmit = 1, kEnableReceive = 2, kEnableReceiveInterrupt = 8;
constexpr uint32_t kFastestBaudDivisor = 16;

// QEMU writes another number here at each start (-device loader); a reset adds one to the second,
// which survives it.
__attribute__((section(".noinit.seed"), used)) volatile uint32_t boot_seed;
__attribute__((section(".noinit"))) volatile uint32_t boot_count;

Uart* Port() { return reinterpret_cast<Uart*>(machine::kUart); }

bool HasReceived() { return Port()->state & kReceiveFull; }

uint32_t ReadRegister(uintptr_t address) { return *reinterpret_cast<volatile uint32_t*>(address); }

void WriteRegister(uintptr_t address, uint32_t value) {
  *reinterpret_cast<volatile uint32_t*>(address) = value;
}

}  // namespace

namespace board {

void Init() {
  boot_count = boot_count + 1;
  if (machine::kClock.reload != 0) {
    WriteRegister(machine::kClock.reload, UINT32_MAX);
    WriteRegister(machine::kClock.value, UINT32_MAX);
  }
  WriteRegister(machine::kClock.control, 1);
  Port()->baud_divisor = kFastestBaudDivisor;
  Port()->control = kEnableTransmit | kEnableReceive | kEnableReceiveInterrupt;
  cortex_m::WakeOn(machine::kUartInterrupt);
}

const char* Name() { return machine::kName; }

size_t Read(uint8_t* data, size_t capacity) {
  if (!HasReceived()) {
    // With -icount sleep=off QEMU does not wait in real time: while the processor sleeps, it would
    // jump from one overflow of a running timer to the next, and keep a core of the PC busy.
    WriteRegister(machine::kClock.control, 0);
    while (!HasReceived()) {
      Port()->interrupts = kReceiveFull;  // of bytes that were read since
      cortex_m::WaitUnless(HasReceived, machine::kUartInterrupt);
    }
    WriteRegister(machine::kClock.control, 1);
  }
  size_t size = 0;
  while (size < capacity && HasReceived()) data[size++] = static_cast<uint8_t>(Port()->data);
  return size;
}

void Write(const uint8_t* data, size_t size) {
  Uart* const port = Port();
  for (const uint8_t* end = data + size; data != end; ++data) {
    while (port->state & kTransmitFull) {
    }
    port->data = *data;
  }
}

uint32_t Clock() {
  const uint32_t value = ReadRegister(machine::kClock.value);
  return machine::kClock.reload != 0 ? ~value : value;
}

uint32_t Cost(uint32_t ticks) {
  const uint64_t cost = static_cast<uint64_t>(ticks) * machine::kInstructions / machine::kTicks;
  return cost < UINT32_MAX ? static_cast<uint32_t>(cost) : UINT32_MAX;
}

CostUnit Unit() { return CostUnit::kInstructions; }
uint32_t BootNumber() { return boot_seed + boot_count; }
uint32_t StackBytes() { return bare::StackBytes(); }
uint32_t ChipId() { return ReadRegister(0xE000ED00); }  // CPUID
uint32_t ClockHz() { return 0; }

}  // namespace board
