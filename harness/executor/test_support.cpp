#include "harness/executor/test_support.h"

#include <errno.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "harness/executor/access.h"
#include "harness/executor/process_watch.h"
#include "harness/language/parser.h"

// By default ThreadSanitizer dies when a thread is created after a fork, and makes _exit() sleep for a second so that other
// threads may race with it.
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() { return "die_after_fork=0:atexit_sleep_ms=0"; }

#if defined(__SANITIZE_ADDRESS__)
// No quarantine, because libasan 12 does not handle its locks at fork(). If a child is forked while another thread frees
// memory, the child would deadlock on the allocator's lock when its first quarantine is full.
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=0:thread_local_quarantine_size_kb=0"; }
#endif

namespace faultline {
namespace {

class CpuHandle : public DeviceHandle {
 public:
  DeviceAccess load(std::uintptr_t address) override { return {0, cpu_load(address), false}; }
  DeviceAccess store(std::uintptr_t address, std::uint64_t value) override {
    cpu_store(address, value);
    return {0, 0, true};
  }
  int exclusive(std::uintptr_t, int, bool) override { return 0; }
  int snapshot(std::uintptr_t, std::span<unsigned char> bytes) override {
    constexpr unsigned char letters[] = {0x00, 0x01, 0x02, 0xff};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = letters[i % 4];
    return 0;
  }
};

}  // namespace

Capabilities CpuTarget::capabilities() const {
  Capabilities can;
  can.snapshot = true;
  can.exclusive = true;
  can.inherited = false;
  return can;
}

std::unique_ptr<DeviceHandle> CpuTarget::open(int) {
  if (open_error != 0) {
    errno = open_error;
    return nullptr;
  }
  return std::make_unique<CpuHandle>();
}

void Seen::batch(const Batch& batch) {
  batches.push_back(batch);
  iterations += batch.count;
  for (const SeenOutcome& seen : batch.outcomes) outcomes[seen.texts] += seen.count;
}

std::map<std::string, std::uint64_t> Seen::texts(const std::string& key) const {
  std::map<std::string, std::uint64_t> found;
  for (std::size_t i = 0; i < schema.size(); ++i)
    if (schema[i].key == key)
      for (const auto& [outcome, count] : outcomes) found[outcome.at(i)] += count;
  return found;
}

std::string Seen::only(const std::string& key) const {
  const auto found = texts(key);
  if (found.empty()) return "(none)";
  return found.size() == 1 ? found.begin()->first : "(several)";
}

Seen run_text(const std::string& text, Target& target, const RunPlan& plan, Frames* frames) {
  const Program program = parse(text, "test.scn");
  Seen seen;
  seen.schema = schema(program, target.capabilities().sight);
  execute(program, target, frames, plan, seen);
  return seen;
}

Seen run_text(const std::string& text, std::uint64_t iterations) {
  CpuTarget target;
  RunPlan plan;
  plan.iterations = iterations;
  plan.deadline_ms = 30'000;  // test machines are slow, and sanitizers slower
  return run_text(text, target, plan);
}

void expect_clean(const Seen& seen, std::uint64_t iterations) {
  EXPECT_EQ(seen.errors, std::vector<std::string>{});
  EXPECT_TRUE(seen.hangs.empty());
  EXPECT_TRUE(seen.crashes.empty());
  EXPECT_EQ(seen.iterations, iterations);
  EXPECT_TRUE(children_of(getpid()).empty()) << "a run leaves nothing behind";
}

}  // namespace faultline
