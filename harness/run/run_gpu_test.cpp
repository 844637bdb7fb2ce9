// Runs on a machine with a GPU in software: what it did is shown beside a finding, and its death is not the kernel's.
#include <algorithm>
#include <fstream>

#include "harness/run/run_test.h"

namespace faultline {
namespace {

using RunGpuTest = RunTest;

// Its GPU is a process beside it.
TEST_F(RunGpuTest, AMachineWhoseGpuDiesIsLostAndItsKernelIsNotBlamed) {
  options_.targets = {{"lab", "amdgpu"}};
  const std::string log = folder_ / "gpu";
  std::ofstream(log) << "0.000 clock 0.000 seed 5\n1.000 the last thing it did\n";
  log_ = log;
  const RunResult result = go({"--gpu=good", "--fault=one=gpu", "--once", folder_ / "once"});
  const Trial& lost = result.trials[0];
  EXPECT_EQ(verdict(lost), Verdict::lost) << "the kernel's complaint is of what failed below it";
  EXPECT_EQ(reason(lost),
            "the machine was lost: its process ended: exit status 4, lab: the software GPU ended, killed by SIGSEGV");
  EXPECT_EQ(lost.words.back(), "lab: the software GPU ended, killed by SIGSEGV");
  EXPECT_EQ(std::ranges::count(lost.words, "  | its words"), 0) << "the console's words are there already";
  EXPECT_EQ(lost.iterations, 500u) << "the second machine did the rest";
  EXPECT_EQ(lost.gpu, std::vector<std::string>{"1.000 the last thing it did"});
  EXPECT_EQ(lost.gpu_log, log);
  const std::vector<json> told = records("gpu_log");
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0]["scenario"], "one");
  EXPECT_EQ(told[0]["path"], log);
  EXPECT_EQ(told[0]["lines"], json({"1.000 the last thing it did"}));
  EXPECT_EQ(verdict(result.trials[1]), Verdict::agree);
  EXPECT_TRUE(result.trials[1].gpu_log.empty()) << "only where something was found";
}

TEST_F(RunGpuTest, AFindingShowsWhatTheGpuDid) {
  options_.targets = {{"lab", "amdgpu"}};
  log_ = folder_ / "gpu";
  std::ofstream(log_) << "0.000 clock 0.000 seed 5\n1.000 a copy\n";
  for (const std::string fault : {"forbidden", "health", "hang"}) {
    const RunResult result = go({"--gpu=good", "--fault=one=" + fault});
    EXPECT_EQ(result.trials[0].gpu, std::vector<std::string>{"1.000 a copy"}) << fault;
    EXPECT_TRUE(result.trials[1].gpu.empty()) << fault;
  }
  EXPECT_TRUE(go({"--gpu=good", "--fault=one=slow"}).trials[0].gpu.empty()) << "that is no finding";
}

TEST_F(RunGpuTest, ADriverThatDrivesNothingIsToldByItsWords) {
  options_.targets = {{"lab", "amdgpu"}};
  const RunResult result = go({"--gpu=bad"});
  EXPECT_EQ(verdict(result.trials[0]), Verdict::inconclusive);
  EXPECT_EQ(reason(result.trials[0]), "the target is not there: no GPU of amdgpu here");
  EXPECT_EQ(result.trials[0].words, std::vector<std::string>{"[   12.5] amdgpu: probe failed with error -12"});
}

}  // namespace
}  // namespace faultline
