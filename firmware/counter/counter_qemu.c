// Start-up, semihosting and instruction counting on QEMU's Arm MPS machines.
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "counter.h"

int main(void);

enum { kSemihostingWrite = 0x04, kSemihostingExit = 0x20 };

static uintptr_t semihosting(uintptr_t operation, const void* argument) {
  register uintptr_t r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void print_line(const char* format, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(line, sizeof(line) - 1, format, arguments);
  va_end(arguments);
  strcpy(line + (length < (int)sizeof(line) - 2 ? length : (int)sizeof(line) - 2), "\n");
  semihosting(kSemihostingWrite, line);
}

static void leave(int status) {
  const uintptr_t arguments[2] = {0x20026 /* ADP_Stopped_ApplicationExit */, (uintptr_t)status};
  semihosting(kSemihostingExit, arguments);
  for (;;) {
  }
}

// SysTick counts processor clocks down from 2^24 - 1; with -icount a clock is a fixed number of
// instructions, found once by timing a loop of known length.
#define SYSTICK_CONTROL (*(volatile uint32_t*)0xe000e010)
#define SYSTICK_RELOAD (*(volatile uint32_t*)0xe000e014)
#define SYSTICK_VALUE (*(volatile uint32_t*)0xe000e018)
enum { kLoops = 1000000, kCounterMask = 0xffffff };

static uint32_t begin_ticks;
static uint32_t ticks_of_loops;

static uint32_t elapsed_ticks(void) { return (begin_ticks - SYSTICK_VALUE) & kCounterMask; }

__attribute__((noinline)) void start_count(void) {
  if (!ticks_of_loops) {
    SYSTICK_RELOAD = kCounterMask;
    SYSTICK_CONTROL = 5;
    begin_ticks = SYSTICK_VALUE;
    uint32_t loops = kLoops;
    __asm__ volatile("1: subs %0, %0, #1\n bne 1b" : "+r"(loops) : : "cc");
    ticks_of_loops = elapsed_ticks();
  }
  begin_ticks = SYSTICK_VALUE;
  // Here the plugin of host_tools/mcu/profile.py begins to count.
  __asm__ volatile(".global count_begins\n count_begins:" : : : "memory");
}

__attribute__((noinline)) uint32_t end_count(void) {
  return (uint32_t)((uint64_t)elapsed_ticks() * (2 * kLoops) / ticks_of_loops);
}

// The stack below the caller is painted; what was overwritten was used.
static const uint32_t kPaint = 0xa5c3f10e;
enum { kPaintedBytes = 65536 };

static uint32_t *paint_top, *paint_bottom;

__attribute__((noinline)) void start_stack(void) {
  __asm__ volatile("mov %0, sp" : "=r"(paint_top));
  paint_bottom = paint_top - kPaintedBytes / sizeof(*paint_top);
  for (volatile uint32_t* word = paint_bottom; word < paint_top; ++word) *word = kPaint;
}

uint32_t end_stack(void) {
  const uint32_t* word = paint_bottom;
  while (word < paint_top && *word == kPaint) ++word;
  return (uint32_t)((const char*)paint_top - (const char*)word);
}

extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[], stack_top[];

void reset(void) {
  *(volatile uint32_t*)0xe000ed88 |= 0xf << 20;  // CPACR: floating point and vector registers on
  __asm__ volatile("dsb\n isb");
  memcpy(data_start, data_load, (size_t)((char*)data_end - (char*)data_start));
  memset(bss_start, 0, (size_t)((char*)bss_end - (char*)bss_start));
  leave(main());
}

static void fault(void) {
  print_line("processor fault, CFSR %08lx at %08lx", (unsigned long)*(volatile uint32_t*)0xe000ed28,
             (unsigned long)*(volatile uint32_t*)0xe000ed38);
  leave(3);
}

__attribute__((section(".vectors"), used)) static void (*const vectors[])(void) = {
    (void (*)(void))stack_top,
    reset,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault};
