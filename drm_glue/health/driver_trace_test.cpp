// A folder plays tracefs: error paths, and how counts are read. The rest is tested in the lab (ci/test_lab_trace.py).
#include "drm_glue/health/driver_trace.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace faultline {
namespace {

namespace fs = std::filesystem;

using Strings = std::vector<std::string>;

const std::vector<DriverFunction> two{{{"one"}, "firsts"}, {{"old_two", "two"}, "seconds"}};

pid_t dead() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

// Makes the files of an instance together with the instance. Refuses some symbols.
class Tracefs : public FaultyKernel {
 public:
  Tracefs() : FaultyKernel(real_kernel()) {}
  std::string refused;
  int open(const char* path, int flags) override {
    const std::string name = fs::path(path).filename();
    return FaultyKernel::open(name == "tracing_on" || name == "enable" ? "/dev/null" : path, flags);
  }
  ssize_t write(int fd, const void* buffer, std::size_t bytes) override {
    const std::string words(static_cast<const char*>(buffer), bytes);
    if (!refused.empty() && words.find(refused) != words.npos) {
      errno = EINVAL;
      return -1;
    }
    return FaultyKernel::write(fd, buffer, bytes);
  }
};

class DriverTraceTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    fs::create_directory(folder_ + "/instances");
    put("README", "");
    put("kprobe_events", "");
    put("kprobe_profile", "");
    put("kallsyms", "0000 t one\n0000 t two\t[driver]\n");
  }
  void TearDown() override { fs::remove_all(folder_); }

  void put(const std::string& name, const std::string& text) { std::ofstream(folder_ + "/" + name) << text; }
  std::string events() {
    std::stringstream text;
    text << std::ifstream(folder_ + "/kprobe_events").rdbuf();
    return text.str();
  }
  void profile(int one, int two) {
    put("kprobe_profile",
        "  users_own 7 0\n  " + own_ + "_0 " + std::to_string(one) + " 1\n  " + own_ + "_1 " + std::to_string(two) + " 0\n");
  }
  Strings instances() {
    Strings names;
    for (const auto& entry : fs::directory_iterator(folder_ + "/instances")) names.push_back(entry.path().filename());
    return names;
  }
  // Why nothing is counted. The trace ends before this returns.
  std::string why() {
    DriverTrace trace(kernel_, {"/nowhere", folder_}, folder_ + "/kallsyms");
    trace.begin(two);
    const DriverCalls calls = trace.end();
    EXPECT_TRUE(calls.functions.empty());
    return calls.why_none;
  }

  std::string folder_ = "/tmp/faultline-tracefs-XXXXXX";
  const std::string own_ = "faultline_" + std::to_string(getpid());
  Tracefs kernel_;
};

TEST_F(DriverTraceTest, CountsSinceTheBegin) {
  {
    DriverTrace trace(kernel_, {"/nowhere", folder_}, folder_ + "/kallsyms");
    profile(3, 4);
    trace.begin(two);
    const std::string all = "p:" + own_ + "/" + own_ + "_0 one\np:" + own_ + "/" + own_ + "_1 driver:two\n";
    EXPECT_EQ(events(), all);
    EXPECT_EQ(instances(), Strings{own_});
    profile(3, 14);
    trace.begin(two);  // the probes are there
    EXPECT_EQ(events(), all);
    profile(8, 14);
    EXPECT_EQ(trace.end(), (DriverCalls{{{"one", "firsts", 5, 0}, {"two", "seconds", 0, 0}}, {}, {}}));
  }
  EXPECT_TRUE(instances().empty());
  EXPECT_TRUE(events().ends_with("-:" + own_ + "/" + own_ + "_0\n-:" + own_ + "/" + own_ + "_1\n"));
}

TEST_F(DriverTraceTest, WithoutFunctionsNothingIsTouched) {
  DriverTrace trace(kernel_, {folder_}, folder_ + "/kallsyms");
  trace.begin(std::set<std::string>{"", "virtio_gpu"});
  EXPECT_TRUE(trace.end().empty());
  EXPECT_EQ(events(), "");
  EXPECT_TRUE(instances().empty());
}

TEST_F(DriverTraceTest, FunctionsThatAreNotCounted) {
  kernel_.refused = " driver:two";
  DriverTrace trace(kernel_, {folder_}, folder_ + "/kallsyms");
  auto functions = two;
  functions.push_back({{"three", "drei"}, "thirds"});
  profile(0, 0);
  trace.begin(functions);
  const DriverCalls calls = trace.end();
  ASSERT_EQ(calls.functions.size(), 1u);
  EXPECT_EQ(calls.functions.front().name, "one");
  EXPECT_EQ(calls.not_counted, (Strings{"driver:two: Invalid argument",
                                        "three or drei: not in " + folder_ +
                                            "/kallsyms: this kernel does not have it, or only inlined into its callers"}));
  put("kprobe_profile", "");
  EXPECT_EQ(trace.end().not_counted.back(), "one: its probe is gone: somebody cleared kprobe_events");
}

TEST_F(DriverTraceTest, WhyNothingIsCounted) {
  const std::string rights = geteuid() != 0 ? "; run as root" : "; the kernel is locked down, or this is a container";
  fs::remove(folder_ + "/kallsyms");
  EXPECT_EQ(why(), folder_ + "/kallsyms: No such file or directory; the kernel needs CONFIG_KALLSYMS");
  put("kallsyms", "0000 t other\n");
  EXPECT_TRUE(why().starts_with("the kernel has none of the driver's functions")) << why();
  kernel_.fail(FaultyKernel::Call::write, ENOMEM);
  EXPECT_EQ(why(), folder_ + "/instances/" + own_ + "/tracing_on: Cannot allocate memory");
  put("kallsyms", "0000 t one\n");
  fs::remove(folder_ + "/kprobe_profile");
  EXPECT_EQ(why(), folder_ + "/kprobe_profile: No such file or directory");
  EXPECT_TRUE(instances().empty());
  fs::remove(folder_ + "/instances");
  EXPECT_EQ(why(), folder_ + "/instances/" + own_ + ": No such file or directory");
  kernel_.fail(FaultyKernel::Call::open, EPERM);
  EXPECT_TRUE(why().starts_with("/nowhere/kprobe_events: Operation not permitted" + rights)) << why();
  fs::remove(folder_ + "/kprobe_events");
  EXPECT_EQ(why(), "this kernel has no kprobe events: it needs CONFIG_KPROBES and CONFIG_KPROBE_EVENTS");
  fs::remove(folder_ + "/README");
  EXPECT_EQ(why(), "there is no tracefs: mount -t tracefs tracefs /nowhere, on a kernel with CONFIG_KPROBE_EVENTS");
}

TEST_F(DriverTraceTest, LeftoversOfTheDeadAreRemoved) {
  const std::string gone = "faultline_" + std::to_string(dead()), alive = "faultline_" + std::to_string(getppid());
  for (const std::string& name : {gone, alive, std::string("users")}) fs::create_directory(folder_ + "/instances/" + name);
  put("kprobe_events", "p:users/faultline_1 one\np:" + gone + "/" + gone + "_0 one\np:" + alive + "/" + alive + "_0 one\n");
  const std::string before = events();
  DriverTrace trace(kernel_, {folder_}, folder_ + "/kallsyms");
  trace.begin(two);
  EXPECT_TRUE(events().starts_with(before + "-:" + gone + "/" + gone + "_0\np:" + own_)) << events();
  auto left = instances();
  std::ranges::sort(left);
  Strings wanted{alive, own_, "users"};
  std::ranges::sort(wanted);
  EXPECT_EQ(left, wanted);
}

TEST(DriverFunctions, Symbols) {
  std::istringstream kallsyms(
      "0000000000000000 t one.constprop.0\n"
      "0000000000000000 t one.isra.1\t[driver]\n"
      "0000000000000000 t one.part.0\n"
      "0000000000000000 t one.isra.0.cold\n"
      "0000000000000000 d one\n"
      "0000000000000000 t one_more\n"
      "0000000000000000 T two\t[driver]\n"
      "\n0 t\n");
  EXPECT_EQ(find_symbols(kallsyms, two), (std::vector<Strings>{{"one.constprop.0", "driver:one.isra.1"}, {"driver:two"}}));
}

TEST(DriverFunctions, OfDriversThatAreKnown) {
  for (const char* driver : {"test_hmm", "nouveau", "amdgpu"}) EXPECT_FALSE(functions_of(driver).empty());
  EXPECT_TRUE(functions_of("virtio_gpu").empty());
}

}  // namespace
}  // namespace faultline
