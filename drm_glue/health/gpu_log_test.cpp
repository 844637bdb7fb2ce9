#include "drm_glue/health/gpu_log.h"

#include <gtest/gtest.h>

namespace faultline {
namespace {

using Kind = GpuLine::Kind;

std::string told(std::string_view line) {
  const std::optional<GpuLine> found = gpu_line(line);
  if (!found) return "nothing";
  constexpr const char* kinds[] = {"words", "hung", "reset", "broken", "gone"};
  return std::string(kinds[static_cast<int>(found->kind)]) + " " + found->driver + " " + found->bus;
}

struct Row {
  const char* line;
  const char* told;
};

// Each pattern, and a similar line that must not match: from a healthy driver or from another one.
TEST(GpuLog, WordsOfTheDrivers) {
  const Row rows[] = {
      {"[drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring gfx timeout, signaled seq=1571, emitted seq=1573", "hung amdgpu "},
      {"[drm:amdgpu_job_timedout] *ERROR* ring sdma0 timeout, signaled seq=2, emitted seq=3", "hung amdgpu "},
      {"amdgpu 0000:0a:00.0: [drm] *ERROR* ring gfx_0.0.0 timeout, signaled seq=9, emitted seq=11", "hung amdgpu 0000:0a:00.0"},
      {"[drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring gfx timeout, but soft recovered", "hung amdgpu "},
      {"[drm] amdgpu: ring test on 2 succeeded in 3 usecs", "nothing"},
      {"[drm:radeon_ring_test [radeon]] *ERROR* ring gfx timeout, signaled seq=1, emitted seq=2", "nothing"},
      {"amdgpu 0000:03:00.0: amdgpu: GPU reset begin!", "reset amdgpu 0000:03:00.0"},
      {"amdgpu 0000:03:00.0: amdgpu: GPU mode1 reset", "nothing"},  // at the driver's start, too
      {"amdgpu 0000:03:00.0: amdgpu: GPU jobs stop begin!", "nothing"},
      {"amdgpu 0000:03:00.0: amdgpu: GPU reset(2) succeeded!", "reset amdgpu 0000:03:00.0"},
      {"amdgpu 0000:03:00.0: amdgpu: GPU reset succeeded, trying to resume", "nothing"},  // "begin!" stands before it
      {"amdgpu 0000:03:00.0: amdgpu: GPU reset(2) failed", "broken amdgpu 0000:03:00.0"},
      {"amdgpu 0000:03:00.0: amdgpu: GPU reset end with ret = -62", "broken amdgpu 0000:03:00.0"},
      {"[drm:amdgpu_job_timedout [amdgpu]] *ERROR* GPU Recovery Failed: -62", "broken amdgpu "},
      {"[drm] VRAM is lost due to GPU reset!", "reset amdgpu "},
      {"[drm] amdgpu: 16368M of VRAM memory ready", "nothing"},
      {"[drm] amdgpu_job_timedout - device unplugged skipping recovery on scheduler:gfx", "gone amdgpu "},
      {"[drm] amdgpu: finishing device.", "nothing"},
      {"amdgpu 0000:03:00.0: amdgpu: [gfxhub0] retry page fault (src_id:0 ring:0 vmid:8 pasid:32769)",
       "words amdgpu 0000:03:00.0"},
      {"amdgpu 0000:03:00.0: amdgpu: [gfxhub0] no-retry page fault (src_id:0 ring:24 vmid:3 pasid:32777)",
       "words amdgpu 0000:03:00.0"},
      {"amdgpu 0000:04:00.0: amdgpu: [gfxhub] page fault (src_id:0 ring:40 vmid:1 pasid:32770)", "words amdgpu 0000:04:00.0"},
      {"amdgpu 0000:03:00.0: amdgpu:   in page starting at address 0x00007f51c0a00000 from IH client 0x1b (UTCL2)", "nothing"},
      {"amdgpu: qcm fence wait loop timeout expired", "hung amdgpu "},
      {"amdgpu: The cp might be in an unrecoverable state due to an unsuccessful queues preemption", "hung amdgpu "},
      {"amdgpu: MES might be in unrecoverable state, issue a GPU reset", "hung amdgpu "},
      {"amdgpu: HMM registered 65520MB device memory", "nothing"},
      {"amdgpu: Evicting PASID 0x8001 queues", "nothing"},
      {"amdgpu 0000:03:00.0: amdgpu: Ring gfx_0.1.0 reset succeeded", "reset amdgpu 0000:03:00.0"},
      {"amdgpu 0000:03:00.0: amdgpu: Ring gfx_0.1.0 reset failed", "broken amdgpu 0000:03:00.0"},
      {"amdgpu 0000:03:00.0: amdgpu: ring gfx_0.1.0 uses VM inv eng 1 on hub 0", "nothing"},
      {"amdgpu 0000:03:00.0: amdgpu: device lost from bus!", "gone amdgpu 0000:03:00.0"},

      {"nouveau 0000:01:00.0: fifo: fault 01 [WRITE] at 00007f0000000000 engine 00 [GR] client 00 [GPC0/T1_0] reason 02 [PTE] "
       "on channel 5 [007f5c2000 agent[812]]",
       "words nouveau 0000:01:00.0"},
      {"nouveau 0000:01:00.0: fifo: channel 5: killed", "words nouveau 0000:01:00.0"},
      {"nouveau 0000:01:00.0: agent[812]: channel 5 killed!", "words nouveau 0000:01:00.0"},
      {"nouveau 0000:01:00.0: fifo: engine 0: scheduled for recovery", "nothing"},
      {"nouveau 0000:01:00.0: agent[812]: job timeout, channel 5 killed!", "hung nouveau 0000:01:00.0"},
      {"nouveau 0000:01:00.0: fifo: SCHED_ERROR 0a [CTXSW_TIMEOUT]", "hung nouveau 0000:01:00.0"},
      {"nouveau 0000:01:00.0: fifo: runlist 0 update timeout", "hung nouveau 0000:01:00.0"},
      {"nouveau 0000:01:00.0: fifo: channel 5 [agent[812]] kick timeout", "hung nouveau 0000:01:00.0"},
      {"nouveau 0000:01:00.0: DRM: VRAM: 8192 MiB", "nothing"},
      {"nouveau 0000:01:00.0: svm: Fault buffer allocation failed: -12", "words nouveau 0000:01:00.0"},
      {"amdgpu 0000:03:00.0: fifo: SCHED_ERROR 0a [CTXSW_TIMEOUT]", "nothing"},
      {"nouveau 0000:01:00.0: amdgpu: GPU reset begin!", "nothing"},

      {"xe 0000:00:02.0: [drm] device wedged, needs recovery", "broken xe 0000:00:02.0"},
      {"amdgpu 0000:03:00.0: [drm] device wedged, but recovered through reset", "reset amdgpu 0000:03:00.0"},
      {"NVRM: GPU 0000:01:00.0: GPU has fallen off the bus.", "gone NVRM 0000:01:00.0"},
      {"NVRM: loading NVIDIA UNIX x86_64 Kernel Module", "nothing"},

      {"faultline: GPU reset begin!", "nothing"},
      {"a person says: ring gfx timeout, signaled seq=1", "nothing"},
      {"amdgpu 0000:03:0: amdgpu: GPU reset begin!", "nothing"},
      {"amdgpu 0000:03:00.0 GPU reset begin!", "nothing"},
      {"", "nothing"},
      {":", "nothing"},
      {"[drm", "nothing"},
  };
  for (const Row& row : rows) EXPECT_EQ(told(row.line), row.told) << row.line;
}

TEST(GpuLog, TheWordsAreThoseOfTheReport) {
  EXPECT_STREQ(gpu_line("amdgpu 0000:03:00.0: amdgpu: GPU reset(1) succeeded!")->what, "was reset");
  EXPECT_STREQ(gpu_line("[drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring gfx timeout, but soft recovered")->what,
               "hung, and went on without a reset");
}

}  // namespace
}  // namespace faultline
