// The exact words of `faultline targets`.
#include "results/targets_text.h"

#include <gtest/gtest.h>

namespace faultline {
namespace {

TEST(TargetsText, SaysWhyNot) {
  TargetRow here;
  here.word = "host";
  here.available = true;
  here.capabilities.sight = {false, true, true, false};
  here.files = "ext4 (/var/tmp)";
  here.capabilities.direct = true;
  here.runs = 1;
  here.does_not_run = {{"move", "no migration between device and system memory"}};
  TargetRow away;
  away.word = "dmirror";
  away.why = "no /dev/hmm_dmirror0";
  away.capabilities.device_class = DeviceClass::recoverable;
  away.capabilities.snapshot = away.capabilities.migrate = true;
  away.runs = 2;
  TargetRow pins;
  pins.word = "pinned";
  pins.available = true;
  pins.capabilities.device_class = DeviceClass::pinned;
  pins.capabilities.pin = true;
  pins.capabilities.sight = {false, false, false, true};
  pins.runs = 2;
  EXPECT_EQ(targets_text({here, away, pins}, 2, true),
            "host     available\n"
            "         class shares-cpu-tables; sees values and errors, page identity, where pages are; direct I/O\n"
            "         files on ext4 (/var/tmp)\n"
            "         runs 1 of 2 scenarios\n"
            "           not 1: no migration between device and system memory\n"
            "             move\n"
            "dmirror  not here: no /dev/hmm_dmirror0\n"
            "         class recoverable; sees values and errors, device faults, page identity, snapshots; migrates\n"
            "         runs 2 of 2 scenarios\n"
            "pinned   available\n"
            "         class pinned; sees values and errors, the driver's events; pins\n"
            "         runs 2 of 2 scenarios\n");
  const std::string short_text = targets_text({here}, 2, false);
  EXPECT_TRUE(short_text.ends_with("not 1: no migration between device and system memory\n")) << short_text;
}

}  // namespace
}  // namespace faultline
