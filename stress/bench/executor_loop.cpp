// The executor's side of the bench: runs a scenario on a target, and prints how long its iterations took.
//
//   executor-loop TARGET FILE ITERATIONS [--drawn]
//
// The threads of an iteration start together, and nothing disturbs them: what a run waits on purpose is not what the executor
// costs. With --drawn, parameters are drawn as in a run.
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <exception>
#include <fstream>
#include <iterator>
#include <memory>

#include "drm_glue/dmirror.h"
#include "drm_glue/host.h"
#include "harness/executor/executor.h"
#include "harness/language/parser.h"

namespace {

using namespace faultline;

// The first batch starts the processes, so the time counts from its end.
class Clock : public RunListener {
 public:
  void batch(const Batch& batch) override {
    if (batches_++ > 0) ns_ += now() - last_, iterations_ += batch.count;
    last_ = now();
  }
  void hang(const Hang& hang) override { fail(hang.slow ? "an iteration was slow" : "an iteration hangs"); }
  void crash(const Crash& crash) override { fail(crash.what.c_str()); }
  void error(const std::string& message) override { fail(message.c_str()); }
  void driver(std::uint64_t, const std::string& words) override { fprintf(stderr, "%s\n", words.c_str()); }
  bool stop_requested() override { return false; }
  void report(const std::string& name) const {
    printf("executor %s iterations %llu ns %lld\n", name.c_str(), static_cast<unsigned long long>(iterations_),
           static_cast<long long>(ns_));
  }

 private:
  static std::int64_t now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
  }
  [[noreturn]] static void fail(const char* what) {
    fprintf(stderr, "executor-loop: %s\n", what);
    _exit(4);
  }
  int batches_ = 0;
  std::uint64_t iterations_ = 0;
  std::int64_t ns_ = 0;
  std::int64_t last_ = 0;
};

std::unique_ptr<Target> target_of(const std::string& name) {
  if (name == "host") return std::make_unique<HostTarget>();
  if (name == "dmirror") return std::make_unique<DmirrorTarget>();
  return nullptr;
}

}  // namespace

int main(int count, char** words) {
  const int least = 4;
  const bool drawn = count == least + 1 && strcmp(words[least], "--drawn") == 0;
  const std::unique_ptr<Target> target = count >= least ? target_of(words[1]) : nullptr;
  const long long iterations = target ? atoll(words[3]) : 0;
  if (iterations < 1 || (count > least && !drawn)) {
    fprintf(stderr, "usage: executor-loop host|dmirror FILE ITERATIONS [--drawn]\n");
    return 2;
  }
  try {
    std::ifstream file(words[2]);
    const Program program = parse(std::string(std::istreambuf_iterator<char>(file), {}), words[2]);
    RunPlan plan;
    constexpr std::uint64_t first_batch = 20;
    plan.iterations = static_cast<std::uint64_t>(iterations) + first_batch;
    if (!drawn)
      plan.parameters = Parameters{.seed = 1,
                                   .cpus = std::vector<int>(program.threads.size(), -1),
                                   .offsets = {std::vector<std::int64_t>(static_cast<std::size_t>(row_length(program)), 0)},
                                   .disturbances = {}};
    Clock clock;
    execute(program, *target, nullptr, plan, clock);
    clock.report(program.name);
  } catch (const std::exception& error) {
    fprintf(stderr, "executor-loop: %s\n", error.what());
    return 2;
  }
  return 0;
}
