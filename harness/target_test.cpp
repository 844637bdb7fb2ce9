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
  EXPECT_EQ(cannot_run(program("direct-write a[0]"), some), "");
  some = everything;
  some.swap = true;
  EXPECT_EQ(cannot_run(program("madvise a pageout"), some), "pageout where there is swap: swapoff -a, or the virtual lab");
  EXPECT_EQ(cannot_run(program("madvise a free"), some), "");
}

TEST(Target, AnotherClassIsNoReason) {
  Capabilities other = everything;
  other.device_class = DeviceClass::shares_cpu_tables;
  EXPECT_EQ(cannot_run(program("load a[0] via d"), other), "");
}

}  // namespace
}  // namespace faultline
