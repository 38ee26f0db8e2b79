// A QEMU plugin that counts how often each instruction ran and which block followed which, between
// two marks in the program. host_tools/mcu/profile.py builds it and reads what it writes.
//
//   -plugin qemu_plugin.so,out=FILE,base=ADDRESS,bytes=N,begin=ADDRESS,end=ADDRESS
//
// Between an execution of `begin` and the next one of `end` it counts. At `end` it appends lines to
// FILE, and the counts start again from zero:
//   i ADDRESS COUNT    the instruction at ADDRESS ran COUNT times
//   e FROM TO COUNT    TO was the first instruction of a translation block, FROM the last one of
//                      the block before it
//   .                  end of this interval
//
// QEMU 7.2 counts instructions that an IT block skips as well, as a processor spends time on them.
// Debian ships no qemu-plugin.h, so the few functions that are used are declared here.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void TranslatedCallback(uint64_t id, struct qemu_plugin_tb* block);
typedef void ExecutedCallback(unsigned int cpu, void* data);
enum { kNoRegisters = 0, kAdd64 = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, TranslatedCallback* callback);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* block);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* block, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn* instruction);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb* block, ExecutedCallback* callback,
                                          int flags, void* data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn* instruction,
                                            ExecutedCallback* callback, int flags, void* data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn* instruction, int operation,
                                                void* counter, uint64_t add);

EXPORT int qemu_plugin_version = 1;  // of the interface, not of QEMU

enum { kEdges = 1 << 16 };

typedef struct {
  uint64_t from;
  uint64_t to;
  uint64_t count;
} Edge;

typedef struct {
  uint64_t first;
  uint64_t last;
} Block;

static Edge edges[kEdges];  // a hash table; an edge without a count is free
static uint64_t* counts;    // one for every two bytes from `base` on
static uint64_t base, bytes, begin, end;
static uint64_t previous;  // the last instruction of the block that ran before this one
static int counting;
static FILE* out;

static void fail(const char* why) {
  fprintf(stderr, "qemu_plugin: %s\n", why);
  exit(4);
}

static Edge* edge(uint64_t from, uint64_t to) {
  uint64_t place = (from * 0x9e3779b97f4a7c15u ^ to * 0xc2b2ae3d27d4eb4fu) >> 48;
  for (int tries = 0; tries < kEdges; ++tries, place = (place + 1) % kEdges) {
    Edge* const found = &edges[place];
    if (found->count == 0) *found = (Edge){from, to, 0};
    if (found->from == from && found->to == to) return found;
  }
  fail("more edges between blocks than there is room for");
  return NULL;
}

static void block_runs(unsigned int cpu, void* data) {
  (void)cpu;
  const Block* const block = data;
  if (counting) ++edge(previous, block->first)->count;
  previous = block->last;
}

static void clear(void) {
  memset(counts, 0, bytes / 2 * sizeof(*counts));
  memset(edges, 0, sizeof(edges));
}

static void begin_runs(unsigned int cpu, void* data) {
  (void)cpu;
  (void)data;
  clear();
  counting = 1;
}

static void end_runs(unsigned int cpu, void* data) {
  (void)cpu;
  (void)data;
  if (!counting) return;
  counting = 0;
  for (uint64_t i = 0; i < bytes / 2; ++i) {
    if (counts[i]) {
      fprintf(out, "i %llx %llu\n", (unsigned long long)(base + 2 * i),
              (unsigned long long)counts[i]);
    }
  }
  for (int i = 0; i < kEdges; ++i) {
    if (edges[i].count) {
      fprintf(out, "e %llx %llx %llu\n", (unsigned long long)edges[i].from,
              (unsigned long long)edges[i].to, (unsigned long long)edges[i].count);
    }
  }
  fprintf(out, ".\n");
  fflush(out);
}

static void block_translated(uint64_t id, struct qemu_plugin_tb* block) {
  (void)id;
  const size_t length = qemu_plugin_tb_n_insns(block);
  Block* const kept = malloc(sizeof(*kept));  // for as long as QEMU may run the block
  if (!kept) fail("out of memory");
  for (size_t i = 0; i < length; ++i) {
    struct qemu_plugin_insn* const instruction = qemu_plugin_tb_get_insn(block, i);
    const uint64_t address = qemu_plugin_insn_vaddr(instruction);
    if (i == 0) kept->first = address;
    if (i == length - 1) kept->last = address;
    if (address - base < bytes) {
      qemu_plugin_register_vcpu_insn_exec_inline(instruction, kAdd64, &counts[(address - base) / 2],
                                                 1);
    }
    if (address == begin) {
      qemu_plugin_register_vcpu_insn_exec_cb(instruction, begin_runs, kNoRegisters, NULL);
    }
    if (address == end) {
      qemu_plugin_register_vcpu_insn_exec_cb(instruction, end_runs, kNoRegisters, NULL);
    }
  }
  qemu_plugin_register_vcpu_tb_exec_cb(block, block_runs, kNoRegisters, kept);
}

static uint64_t number(const char* name, int argc, char** argv) {
  const size_t length = strlen(name);
  for (int i = 0; i < argc; ++i) {
    if (strncmp(argv[i], name, length) == 0) return strtoull(argv[i] + length, NULL, 0);
  }
  fail("an argument is missing");
  return 0;
}

EXPORT int qemu_plugin_install(uint64_t id, const void* info, int argc, char** argv) {
  (void)info;
  base = number("base=", argc, argv);
  bytes = number("bytes=", argc, argv);
  begin = number("begin=", argc, argv);
  end = number("end=", argc, argv);
  for (int i = 0; i < argc; ++i) {
    if (strncmp(argv[i], "out=", 4) == 0) out = fopen(argv[i] + 4, "w");
  }
  if (!out) fail("the file named by out= cannot be written");
  counts = calloc(bytes / 2, sizeof(*counts));
  if (!counts) fail("out of memory");
  qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
  return 0;
}
