// Devices with a driver that does accesses in its own threads, as OpenCL drivers do: faults that end the process,
// SVM buffers, accesses with a memory order.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstring>
#include <map>
#include <thread>

#include "harness/executor/access.h"
#include "harness/executor/test_support.h"

namespace faultline {
namespace {

// Does every request in a new thread. A handed-over buffer, or USM of the device, has two memories: one of the host and
// one of the device. Map and unmap copy a handed-over buffer from one to the other.
class DriverHandle : public DeviceHandle, public Svm {
 public:
  explicit DriverHandle(bool blocks_signals, bool is_gone) : blocks_signals_(blocks_signals), is_gone_(is_gone) {}
  ~DriverHandle() override {
    if (!buffers_.empty()) abort();  // the executor must free all buffers first
  }

  DeviceAccess load(std::uintptr_t address) override {
    DeviceAccess access;
    if (is_gone_) return {ENODEV};
    elsewhere([&] { access.value = cpu_load(on_device(address)); });
    return access;
  }
  DeviceAccess store(std::uintptr_t address, std::uint64_t value) override {
    elsewhere([&] { cpu_store(on_device(address), value); });
    return {};
  }
  int ordered(std::span<OrderedAccess> accesses) override {
    elsewhere([&] {
      for (OrderedAccess& access : accesses) do_on_cpu(access);
    });
    return 0;
  }

  Svm* svm() override { return this; }
  void* allocate(std::size_t bytes, Backing backing) override {
    void* const buffer = aligned_alloc(4096, bytes);
    const bool two_memories = is_handed_over(backing) || backing == Backing::usm_device;
    buffers_[reinterpret_cast<std::uintptr_t>(buffer)] = std::vector<char>(two_memories ? bytes : 0);
    return buffer;
  }
  void free(void* buffer) override {
    if (buffers_.erase(reinterpret_cast<std::uintptr_t>(buffer)) != 1) abort();
    ::free(buffer);
  }
  int map(std::uintptr_t address, std::size_t bytes, Protection) override {
    std::memcpy(reinterpret_cast<void*>(address), reinterpret_cast<void*>(on_device(address)), bytes);
    mapped_[address] = bytes;
    return 0;
  }
  int unmap(std::uintptr_t address) override {
    std::memcpy(reinterpret_cast<void*>(on_device(address)), reinterpret_cast<void*>(address), mapped_[address]);
    return mapped_.erase(address) == 1 ? 0 : EINVAL;
  }
  int copy(std::uintptr_t to, std::uintptr_t from, std::size_t bytes) override {
    std::memcpy(reinterpret_cast<void*>(on_device(to)), reinterpret_cast<void*>(on_device(from)), bytes);
    return 0;
  }
  int fill(std::uintptr_t address, std::uint64_t word) override { return store(address, word).error; }
  int migrate(std::uintptr_t, std::size_t, bool) override { return 0; }

 private:
  std::uintptr_t on_device(std::uintptr_t address) {
    for (auto& [begin, memory] : buffers_)
      if (address - begin < memory.size()) return reinterpret_cast<std::uintptr_t>(memory.data()) + (address - begin);
    return address;
  }

  template <typename Work>
  void elsewhere(Work work) {
    std::thread([&] {
      if (blocks_signals_) {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, nullptr);
      }
      work();
    }).join();
  }

  const bool blocks_signals_;
  const bool is_gone_;
  std::map<std::uintptr_t, std::vector<char>> buffers_;
  std::map<std::uintptr_t, std::size_t> mapped_;
};

class DriverTarget : public Target {
 public:
  std::string name() const override { return "driver"; }
  std::string unavailable() const override { return {}; }
  Capabilities capabilities() const override {
    Capabilities can;
    can.device_class = DeviceClass::fatal_faults;
    can.inherited = can.forked = false;
    can.svm_coarse = can.svm_fine = can.atomics = can.device_address = true;
    can.usm_host = can.usm_shared = can.usm_device = {true, true, true, true};
    return can;
  }
  void speak_to(DriverWords* words) override { words_ = words; }
  std::unique_ptr<DeviceHandle> open(int) override {
    if (words_ && fails_to_open) words_->failed(fails_to_open);
    return fails_to_open ? nullptr : std::make_unique<DriverHandle>(blocks_signals, is_gone);
  }

  bool blocks_signals = false;
  bool is_gone = false;
  const char* fails_to_open = nullptr;

 private:
  DriverWords* words_ = nullptr;
};

Seen run(const std::string& body, int iterations, DriverTarget target = {}) {
  RunPlan plan;
  plan.iterations = iterations;
  return run_text("scenario s\ndevice d: fatal-faults\nprocess P\n" + body, target, plan);
}

constexpr const char* access_to_nothing = R"(  a: 1 page none
thread P.gpu on d
  s = store a[0] 1
  l = load a[0]
thread P.t
  barrier last
thread P.u
  delay 100ms
  barrier last
)";

TEST(FatalFaults, EndTheProcessAndTheNextIterationHasANewOne) {
  const Seen seen = run(access_to_nothing, 3);
  EXPECT_EQ(seen.errors, std::vector<std::string>{});
  EXPECT_EQ(seen.iterations, 3u);
  EXPECT_EQ(seen.only("P.gpu:s"), "unknown");
  EXPECT_EQ(seen.only("P.gpu:l"), "-");
}

TEST(FatalFaults, OfAThreadThatBlocksTheSignalToo) {
  DriverTarget target;
  target.blocks_signals = true;
  const Seen seen = run(access_to_nothing, 2, target);
  EXPECT_EQ(seen.errors, std::vector<std::string>{});
  EXPECT_EQ(seen.iterations, 2u);
  EXPECT_EQ(seen.only("P.gpu:s"), "unknown");
}

TEST(FatalFaults, AreTheDevicesOnly) {
  const Seen seen = run("  a: 1 page none\nthread P.t\n  r = load a[0]\nthread P.gpu on d\n  delay 1us\n", 3);
  expect_clean(seen, 3);
  EXPECT_EQ(seen.only("P.t:r"), "SIGSEGV");
}

TEST(DriverWords, AreToldWithTheIteration) {
  DriverTarget target;
  target.fails_to_open = "no such driver";
  const Seen seen = run("  a: 1 page anon rw\nthread P.gpu on d\n  load a[0]\n", 20, target);
  EXPECT_EQ(seen.iterations, 0u);
  EXPECT_EQ(seen.errors.size(), 5u);
  EXPECT_EQ(seen.driver_words, std::vector<std::string>{"no such driver"});  // repetitions of the same message are dropped
}

TEST(Driver, ThatLosesItsDeviceGivesNoOutcomes) {
  DriverTarget target;
  target.is_gone = true;
  const Seen seen = run("  a: 1 page anon rw = 0\nthread P.gpu on d\n  load a[0]\n", 20, target);
  EXPECT_EQ(seen.iterations, 0u);
  ASSERT_EQ(seen.errors.size(), 5u);
  EXPECT_EQ(seen.errors[0], "iteration 0: the device is gone (process 0, thread 0, code 19)");
}

TEST(SvmBuffers, AreHandedOverByMapAndUnmap) {
  const Seen seen = run(R"(  a: 2 pages svm-coarse = 3
  b: 1 page svm-coarse = 0
thread P.gpu on d
  r0 = load a[1]
  store a[0] 5
  svm-map a rw
  r1 = load a[0] via cpu
  store a[1] 6 via cpu
  svm-unmap a
  r2 = load a[1]
  svm-copy a[0] -> b[0]
  svm-fill a[0] 9
  migrate a to d
observe P:a[0] P:b[0]
)",
                        20);
  expect_clean(seen, 20);
  EXPECT_EQ(seen.only("P.gpu:r0"), "3");
  EXPECT_EQ(seen.only("P.gpu:r1"), "5");
  EXPECT_EQ(seen.only("P.gpu:r2"), "6");
  EXPECT_EQ(seen.only("P:a[0]"), "9");
  EXPECT_EQ(seen.only("P:b[0]"), "5@a[0]");
}

TEST(DeviceAddresses, AreHandedOverToo) {
  const Seen seen = run(R"(  a: 2 pages device-address = 3
thread P.gpu on d
  r0 = load a[1]
  store a[0] 5
observe P:a[0]
)",
                        5);
  expect_clean(seen, 5);
  EXPECT_EQ(seen.only("P.gpu:r0"), "3");
  EXPECT_EQ(seen.only("P:a[0]"), "5");
}

// In this driver, the host's memory at the address of a usm-device buffer never has the device's content.
TEST(UsmBuffers, OfTheDeviceGetAndShowTheirValuesByCopies) {
  const Seen seen = run(R"(  a: 2 pages usm-device = 3
  b: 1 page usm-shared = 4
thread P.gpu on d
  r0 = load a[1]
  store a[0] 5
  svm-copy b[0] -> a[1]
  r1 = load b[0] via cpu
observe P:a[0] P:a[1]
)",
                        5);
  expect_clean(seen, 5);
  EXPECT_EQ(seen.only("P.gpu:r0"), "3");
  EXPECT_EQ(seen.only("P.gpu:r1"), "4");
  EXPECT_EQ(seen.only("P:a[0]"), "5");
  EXPECT_EQ(seen.only("P:a[1]"), "4@b[0]");
}

// Until a map, the host's memory of the buffer is separate from the device's.
TEST(SvmBuffers, WithoutAMapTheHostSeesWhatItHad) {
  const Seen seen = run("  a: 1 page svm-coarse = 3\nthread P.gpu on d\n  store a[0] 5\n  r = load a[0] via cpu\n", 5);
  expect_clean(seen, 5);
  EXPECT_EQ(seen.only("P.gpu:r"), "3");
}

TEST(Ordered, NeighboursAreOneRequestAndEachHasItsResult) {
  const Seen seen = run(R"(  a: 2 pages svm-fine = 0
thread P.gpu on d
  store a[0] 1 relaxed
  r0 = load a[0] seq-cst
  r1 = load a[1] acquire
  barrier x
thread P.t
  store a[1] 2 release
  r2 = load a[1] relaxed
  barrier x
observe P:a[1]
)",
                        50);
  expect_clean(seen, 50);
  EXPECT_EQ(seen.only("P.gpu:r0"), "1");
  EXPECT_EQ(seen.only("P.t:r2"), "2");
  EXPECT_EQ(seen.only("P:a[1]"), "2");
}

TEST(Ordered, UpdatesGiveWhatTheyRead) {
  const Seen seen = run(R"(  a: 2 pages svm-fine = 3
thread P.gpu on d
  r0 = add a[0] 2 relaxed
  r1 = exchange a[0] 9 acq-rel
  r2 = compare-exchange a[0] 9 -> 1 seq-cst
  r3 = compare-exchange a[0] 9 -> 2 release
thread P.t
  t0 = add a[1] 1 acquire
  t1 = compare-exchange a[1] 4 -> 8 relaxed
observe P:a[0] P:a[1]
)",
                        20);
  expect_clean(seen, 20);
  EXPECT_EQ(seen.only("P.gpu:r0"), "3");
  EXPECT_EQ(seen.only("P.gpu:r1"), "5");
  EXPECT_EQ(seen.only("P.gpu:r2"), "9");
  EXPECT_EQ(seen.only("P.gpu:r3"), "1");
  EXPECT_EQ(seen.only("P.t:t0"), "3");
  EXPECT_EQ(seen.only("P.t:t1"), "4");
  EXPECT_EQ(seen.only("P:a[0]"), "1");
  EXPECT_EQ(seen.only("P:a[1]"), "8");
}

}  // namespace
}  // namespace faultline
