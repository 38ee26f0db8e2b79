// The assembly functions of firmware/lib/kernels/pie for a PC: each runs its text in the machine.
#include "stubs.h"

#include <cstdlib>
#include <cstring>

#include "machine.h"
#include "pie.h"

#ifndef PIE_FOLDER
#error "PIE_FOLDER is where the .S files lie"
#endif

namespace {

xtensa::Machine machine;

template <typename Arguments>
void Run(xtensa::Program& program, const char* name, Arguments* arguments) {
  // The caller's copy is on a stack above 4 GB.
  alignas(16) static Arguments copy;
  copy = *arguments;
  program.Call(machine, name, {word_of(&copy)});
}

// The environment may name another folder of .S files: one with a fault, to see it noticed.
std::string Source(const std::string& name) {
  const char* folder = getenv("PIE_SOURCE_FOLDER");
  return std::string(folder ? folder : PIE_FOLDER) + "/" + name;
}

xtensa::Program& Convolutions() {
  static xtensa::Program program(Source("conv.S"));
  return program;
}

xtensa::Program& ConvolutionLanes() {
  static xtensa::Program program(Source("conv_lanes.S"));
  return program;
}

xtensa::Program& Elementwise() {
  static xtensa::Program program(Source("elementwise.S"));
  return program;
}

xtensa::Program& Depthwise() {
  static xtensa::Program program(Source("depthwise.S"));
  return program;
}

xtensa::Program& ElementwiseLanes() {
  static xtensa::Program program(Source("elementwise_lanes.S"));
  return program;
}

xtensa::Program& Lanes() {
  static xtensa::Program program(Source("lanes.S"));
  return program;
}

}  // namespace

extern "C" {

uint64_t xtensa_instructions(void) { return machine.instructions; }

#define DEFINE_CONV(name) \
  void name(PieConv* conv) { Run(Convolutions(), #name, conv); }
PIE_CONV_FUNCTIONS(DEFINE_CONV)

#define DEFINE_CONV_LANES(name) \
  void name(PieConvLanes* conv) { Run(ConvolutionLanes(), #name, conv); }
PIE_CONV_LANES_FUNCTIONS(DEFINE_CONV_LANES)

#define DEFINE_DEPTHWISE(name) \
  void name(PieDepthwise* depthwise) { Run(Depthwise(), #name, depthwise); }
PIE_DEPTHWISE_FUNCTIONS(DEFINE_DEPTHWISE)

#define DEFINE_LANES(name) \
  void name(PieLanes* lanes) { Run(Lanes(), #name, lanes); }
PIE_LANES_FUNCTIONS(DEFINE_LANES)

#define DEFINE_GATE_LANES(name) \
  void name(PieGateLanes* gate) { Run(ElementwiseLanes(), #name, gate); }
PIE_GATE_LANES_FUNCTIONS(DEFINE_GATE_LANES)

void pie_add_lanes(PieAddLanes* add) { Run(ElementwiseLanes(), "pie_add_lanes", add); }

#define DEFINE_GATE(name) \
  void name(PieGate* gate) { Run(Elementwise(), #name, gate); }
PIE_GATE_FUNCTIONS(DEFINE_GATE)
#define DEFINE_ADD(name) \
  void name(PieAdd* add) { Run(Elementwise(), #name, add); }
PIE_ADD_FUNCTIONS(DEFINE_ADD)
#define DEFINE_MEAN(name) \
  void name(PieMean* mean) { Run(Elementwise(), #name, mean); }
PIE_MEAN_FUNCTIONS(DEFINE_MEAN)
}
