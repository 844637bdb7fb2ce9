// One rung of the benchmark: explores the interval notifier protocol once and prints the result, one line
// for each figure, for bench.py to read.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "kernels_ref/protocol/notifiers/interval_notifier.h"

using namespace faultline::ref;
using namespace faultline::ref::protocol;

int main(int argc, char** argv) {
  const int numbers = 3;
  Variants variants;
  Limits limits{.states = 2'000'000'000};
  bool understood = argc > numbers;
  for (int i = numbers + 1; i < argc; ++i) {
    const auto variant = named<Variant>(argv[i]);
    understood = understood && variant;
    if (variant) variants.set(static_cast<std::size_t>(*variant));
  }
  if (!understood) {
    std::fprintf(stderr,
                 "usage: ladder INVALIDATORS FAULTERS WORKERS [VARIANT]...\n"
                 "  WORKERS 0: one for each core\n");
    return 2;
  }
  limits.workers = std::atoi(argv[3]);
  const Protocol protocol = interval_notifier(std::atoi(argv[1]), std::atoi(argv[2]), 2);
  const Report report = examine(protocol, variants, limits);
  std::printf("complete: %d\nstates: %llu\nfindings: %u\n", report.complete, static_cast<unsigned long long>(report.states),
              report.findings);
  for (const std::string& outcome : report.outcomes) std::printf("outcome: %s\n", outcome.c_str());
}
