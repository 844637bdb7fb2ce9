#include "harness/target.h"

#include <gtest/gtest.h>

#include "harness/language/parser.h"

namespace faultline {
namespace {

constexpr Capabilities everything{DeviceClass::recoverable, {}, true, true, true, true};

Program program(const std::string& statement) {
  const std::string head =
      "scenario x\ndevice d: recoverable\nprocess P\n  a: 1 page anon rw\nthread P.t\n  fork C\nprocess C\n  ";
  return parse(head + statement + "\n", "x.scn");
}

TEST(Target, RunsWhatItCanDo) {
  for (const std::string statement : {"load a[0] via P.d", "migrate a to d", "snapshot a via d", "pin a via d", "munmap a"}) {
    EXPECT_EQ(cannot_run(program(statement), everything), "");
  }
}

TEST(Target, SaysWhatItCannotDo) {
  Capabilities some = everything;
  some.migrate = false;
  EXPECT_EQ(cannot_run(program("migrate a to system via d"), some), "no migration between device and system memory");
  EXPECT_EQ(cannot_run(program("snapshot a via d"), some), "");
  some = everything;
  some.exclusive = true;
  EXPECT_EQ(cannot_run(program("check-exclusive a via d"), some), "");
  some.exclusive = false;
  EXPECT_EQ(cannot_run(program("exclusive a via d"), some), "no exclusive access of a device");
  some.snapshot = false;
  EXPECT_EQ(cannot_run(program("snapshot a via d"), some), "no snapshots of page tables");
  some = everything;
  some.pin = false;
  EXPECT_EQ(cannot_run(program("pin a via d"), some), "no long-term pins");
  EXPECT_EQ(cannot_run(program("unpin a via d"), some), "no long-term pins");
  some = everything;
  some.inherited = false;
  EXPECT_EQ(cannot_run(program("store a[0] 1 via P.d"), some), "a child cannot use the device that its parent opened");
  EXPECT_EQ(cannot_run(program("store a[0] 1 via d"), some), "");
  EXPECT_EQ(cannot_run(program("pin a via P.d"), everything), "a child cannot use the device that its parent opened");
  EXPECT_EQ(cannot_run(program("direct-read a[0] 1"), everything),
            "no file system here with O_DIRECT: ext4 or xfs in /var/tmp or /tmp");
  EXPECT_NE(cannot_run(program("direct-write a[0]"), everything), "");
  some.direct = true;
  EXPECT_EQ(
      cannot_run(program("uffd-register a missing"), some),
      "no userfaultfd for faults of the kernel, with write protection: root, or sysctl vm.unprivileged_userfaultfd=1, and a "
      "kernel with CONFIG_USERFAULTFD");
  some.uffd = true;
  EXPECT_EQ(cannot_run(program("uffd-register a missing"), some), "");
  EXPECT_EQ(cannot_run(program("direct-write a[0]"), some), "");
  some = everything;
  some.swap = true;
  EXPECT_EQ(cannot_run(program("madvise a pageout"), some), "pageout where there is swap: swapoff -a, or the virtual lab");
  EXPECT_EQ(cannot_run(program("madvise a free"), some), "");
}

TEST(Target, SaysWhichBuffersItLacks) {
  const auto with = [](const std::string& backing, const std::string& statement = "store a[0] 1") {
    return parse(
        "scenario x\ndevice d: fatal-faults\nprocess P\n  a: 1 page " + backing + " = 0\nthread P.t on d\n  " + statement + "\n",
        "x.scn");
  };
  Capabilities can;
  EXPECT_EQ(cannot_run(with("svm-coarse"), can), "no SVM buffers");
  EXPECT_EQ(cannot_run(with("device-address"), can), "the device has no buffer device addresses (cl_ext_buffer_device_address)");
  can.device_address = true;
  EXPECT_EQ(cannot_run(with("device-address"), can), "");
  EXPECT_EQ(cannot_run(with("usm-host"), can), "the device has no unified shared memory (cl_intel_unified_shared_memory)");
  can.usm_device.access = true;
  EXPECT_EQ(cannot_run(with("usm-host"), can), "the device has no usm-host (cl_intel_unified_shared_memory without it)");
  EXPECT_EQ(cannot_run(with("usm-device"), can), "");
  EXPECT_EQ(cannot_run(with("usm-device", "store a[0] 1 release"), can),
            "the device has no atomics in usm-device (CL_UNIFIED_SHARED_MEMORY_ATOMIC_ACCESS_INTEL)");
  can.usm_device.atomics = true;
  EXPECT_EQ(cannot_run(with("usm-device", "store a[0] 1 release"), can), "");
}

// A copy may have host memory at either end. If the device lacks the kind of buffer, cannot_run() says so for either end.
TEST(Target, CopiesFromAndToOtherMemory) {
  const auto with = [](const std::string& backing, const std::string& statement) {
    const std::string head =
        "scenario x\ndevice d: fatal-faults\nprocess P\n  a: 1 page " + backing + " = 0\n  m: 2 pages anon rw = 0\n";
    return parse(head + "thread P.t on d\n  " + statement + "\n", "x.scn");
  };
  Capabilities buffers_only;
  buffers_only.system = false;
  buffers_only.svm_coarse = buffers_only.svm_fine = true;
  Capabilities usm_only;
  usm_only.system = false;
  usm_only.usm_host.access = usm_only.usm_shared.access = usm_only.usm_device.access = true;
  for (const std::string statement : {"svm-copy a[0] -> m[0]", "svm-copy m[0] -> a[0]"}) {
    for (const std::string backing : {"svm-coarse", "svm-fine"}) {
      EXPECT_EQ(cannot_run(with(backing, statement), buffers_only), "") << backing << ": " << statement;
      EXPECT_NE(cannot_run(with(backing, statement), usm_only), "") << backing << ": " << statement;
    }
    for (const std::string backing : {"usm-host", "usm-shared", "usm-device"}) {
      EXPECT_EQ(cannot_run(with(backing, statement), usm_only), "") << backing << ": " << statement;
      EXPECT_EQ(cannot_run(with(backing, statement), buffers_only),
                "the device has no unified shared memory (cl_intel_unified_shared_memory)")
          << backing << ": " << statement;
    }
  }
  const std::string no_command = "no SVM, and so no command that copies or fills other memory";
  const Capabilities cpu;
  EXPECT_EQ(cannot_run(with("anon rw", "svm-copy a[0] -> m[0]"), buffers_only), "");
  EXPECT_EQ(cannot_run(with("usm-host", "svm-copy m[0] -> m[1]"), usm_only), no_command);
  EXPECT_EQ(cannot_run(with("anon rw", "svm-copy a[0] -> m[0]"), cpu), no_command);
  EXPECT_EQ(cannot_run(with("anon rw", "svm-fill m[0] 1"), cpu), no_command);
  EXPECT_EQ(cannot_run(with("svm-fine", "svm-fill m[0] 1"), buffers_only),
            "the device reaches SVM buffers only, no other memory");
  EXPECT_EQ(cannot_run(with("svm-fine", "svm-fill a[0] 1"), buffers_only), "");
}

TEST(Target, SaysWhatItCannotDoAtOnce) {
  const Program program =
      parse("scenario x\ndevice d: fatal-faults\nprocess P\n  a: 1 page usm-host = 0\nthread P.t on d\n  load a[0]\n", "x.scn");
  Allowed allowed;
  Capabilities can;
  EXPECT_EQ(cannot_run(program, allowed, can), "");
  allowed.at_once = {{0, false, "A and B"}};
  EXPECT_EQ(cannot_run(program, allowed, can),
            "host and device cannot use the device's usm-host at once (CL_UNIFIED_SHARED_MEMORY_CONCURRENT_ACCESS_INTEL), as A "
            "and B may");
  can.usm_host.concurrent = true;
  EXPECT_EQ(cannot_run(program, allowed, can), "");
  allowed.at_once[0].ordered = true;
  EXPECT_NE(cannot_run(program, allowed, can).find("CONCURRENT_ATOMIC_ACCESS_INTEL"), std::string::npos);
  can.usm_host.concurrent_atomics = true;
  EXPECT_EQ(cannot_run(program, allowed, can), "");
}

TEST(Target, AnotherClassIsNoReason) {
  Capabilities other = everything;
  other.device_class = DeviceClass::shares_cpu_tables;
  EXPECT_EQ(cannot_run(program("load a[0] via d"), other), "");
}

}  // namespace
}  // namespace faultline
