#include "stress/storms/levels.h"

#include <gtest/gtest.h>

namespace faultline::storms {
namespace {

using Levels = std::map<std::string, std::int64_t>;

TEST(Levels, MemoryIsWhatTheKernelWouldNotGiveBack) {
  Levels levels;
  read_meminfo(
      "MemTotal:  1000 kB\nMemFree:  300 kB\nBuffers: 10 kB\nCached: 200 kB\nSwapCached: 1 kB\nSReclaimable: 9 kB\n"
      "SUnreclaim: 40 kB\n",
      levels);
  EXPECT_EQ(levels, (Levels{{"memory KiB", 480}, {"slab KiB", 40}}));
}

TEST(Levels, ObjectsAreThoseOfSlabinfo) {
  Levels levels;
  read_slabinfo("slabinfo - version: 2.1\n# name <active_objs>\nmm_struct  140 160 1408 23 8\nmm_structure 7 7\nanon_vma 12 20\n",
                levels);
  EXPECT_EQ(levels, (Levels{{"anon_vma", 12}, {"mm_struct", 140}}));
}

TEST(Levels, DeviceMemoryIsThatOfTestHmm) {
  Levels levels;
  read_iomem("00000000-00000fff : Reserved\n  3ffff0000000-3fffffffffff : hmm_dmirror\n3fffe0000000-3fffefffffff : hmm_dmirror\n",
             levels);
  EXPECT_EQ(levels, (Levels{{"device memory MiB", 512}}));
}

TEST(Levels, GarbageIsNoLevel) {
  Levels levels;
  for (const char* text : {"", "\n\n", "MemTotal: x\n", "mm_struct\n", "zz : hmm_dmirror\n"}) {
    read_meminfo(text, levels);
    read_slabinfo(text, levels);
    read_iomem(text, levels);
  }
  EXPECT_TRUE(levels.empty());
}

TEST(Levels, ThisMachineTellsItsMemory) { EXPECT_GT(read_levels()["memory KiB"], 0); }

}  // namespace
}  // namespace faultline::storms
