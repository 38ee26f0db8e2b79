#include "cmsdk.h"

#include "cortex_m.h"

namespace cmsdk {
namespace {

constexpr uint32_t kTransmitFull = 1;
constexpr uint32_t kReceiveFull = 2;
constexpr uint32_t kEnableTransmit = 1, kEnableReceive = 2, kEnableReceiveInterrupt = 8;
constexpr uint32_t kFastestBaudDivisor = 16;

// The port holds one byte, so an interrupt moves each one here. Indices count up and wrap by
// themselves; the ring is larger than what a host has under way, which waits for each answer.
constexpr uint32_t kRingSize = 4096;
static_assert((kRingSize & (kRingSize - 1)) == 0);
uint8_t ring[kRingSize];
volatile uint32_t received, taken;
Uart* port;

// The emulator writes another number here at each start (-device loader); a reset adds one to the
// second, which survives it. On a machine that does neither, both hold whatever the memory holds.
__attribute__((section(".noinit.seed"), used)) volatile uint32_t boot_seed;
__attribute__((section(".noinit"))) volatile uint32_t boot_count;

bool HasReceived() { return received != taken; }

}  // namespace

void Init(Uart* uart, unsigned receive_interrupt) {
  boot_count = boot_count + 1;
  port = uart;
  port->baud_divisor = kFastestBaudDivisor;
  port->control = kEnableTransmit | kEnableReceive | kEnableReceiveInterrupt;
  cortex_m::EnableInterrupt(receive_interrupt);
}

size_t Read(uint8_t* data, size_t capacity) {
  while (!HasReceived()) cortex_m::WaitUnless(HasReceived);
  size_t size = 0;
  while (size < capacity && HasReceived()) {
    data[size++] = ring[taken % kRingSize];
    taken = taken + 1;
  }
  return size;
}

void Write(const uint8_t* data, size_t size) {
  for (const uint8_t* end = data + size; data != end; ++data) {
    while (port->state & kTransmitFull) {
    }
    port->data = *data;
  }
}

uint32_t BootNumber() { return boot_seed + boot_count; }

}  // namespace cmsdk

void cortex_m::OnInterrupt() {
  using namespace cmsdk;
  port->interrupts = kReceiveFull;  // seen
  while (port->state & kReceiveFull) {
    const uint8_t byte = static_cast<uint8_t>(port->data);
    if (received - taken == kRingSize) continue;  // full: the frame fails its CRC and comes again
    ring[received % kRingSize] = byte;
    received = received + 1;
  }
}
