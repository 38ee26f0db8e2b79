// Runs ROUNDS random cases of each kernel; the exit status says whether all agreed.
#include "cases.h"
#include "counter.h"
#include "random.h"

int main(void) {
  static const struct {
    const char* name;
    int (*run)(void);
  } kernels[] = {
      {"conv1x1", conv1x1_case}, {"conv_row", conv_row_case}, {"depthwise_row", depthwise_row_case},
      {"add", add_case},         {"mul", mul_case},           {"mul_gate", mul_gate_case},
      {"mean", mean_case},       {"lookup", lookup_case},
  };
  int32_t failures = 0;
  for (uint32_t k = 0; k < sizeof(kernels) / sizeof(kernels[0]); ++k) {
    int32_t failed = 0;
    for (uint32_t round = 0; round < ROUNDS; ++round) {
      seed_random(1000 * k + round);
      failed += kernels[k].run();
      if (failed > 3) break;
    }
    print_line("%s: %s", kernels[k].name, failed ? "FAILED" : "ok");
    failures += failed;
  }
  return failures != 0;
}
