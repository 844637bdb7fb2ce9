#include "results/storm_report.h"

#include <gtest/gtest.h>

namespace faultline {
namespace {

StormTally storm_of(int works) {
  StormTally storm;
  storm.plan.kind = StormKind::teardown;
  storm.plan.seed = 5;
  storm.target = "host";
  storm.kernel = "6.12.1 #1 SMP";
  storm.seconds = 9.7;
  storm.works = static_cast<std::uint64_t>(works);
  return storm;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

TEST(StormReport, NamesQueueLengthsAndDurations) {
  EXPECT_EQ(queue_text(0), "0");
  EXPECT_EQ(queue_text(1), "1");
  EXPECT_EQ(queue_text(4), "8-15");
  EXPECT_EQ(queue_text(storms::queue_classes - 1), "1024+");
  for (int outstanding = 0; outstanding < 2000; ++outstanding) {
    const std::string text = queue_text(storms::queue_class(outstanding));
    EXPECT_LE(std::stoi(text), outstanding);
    const auto dash = text.find('-');
    EXPECT_GE(dash == text.npos ? outstanding : std::stoi(text.substr(dash + 1)), outstanding);
  }
  EXPECT_EQ(duration_text(830), "830 ns");
  EXPECT_EQ(duration_text(1200), "1.2 us");
  EXPECT_EQ(duration_text(45'000'000), "45 ms");
  EXPECT_EQ(duration_text(200'000'000'000), "200 s");
}

TEST(StormReport, DrawsAHistogramOnALogarithmicAxis) {
  Durations durations;
  for (int i = 0; i < 100; ++i) durations.note(1000);  // 1 us: the first column
  durations.note(1'100'000);                           // 1 ms: three decades on
  durations.note(1'000'000'000'000);                   // longer than the axis: its last column
  const std::string strip = strip_text(durations);
  ASSERT_EQ(strip.size(), 40u);
  EXPECT_EQ(strip[0], '@');
  EXPECT_EQ(strip[15], '.');
  EXPECT_EQ(strip[39], '.');
  EXPECT_EQ(strip.find_first_not_of(' ', 1), 15u);
}

TEST(StormReport, GathersRounds) {
  StormTally storm = storm_of(0);
  StormNews news{.round = 1, .counts = {{"device accesses", 7}}, .levels = {{"tasks", 3}}, .wrong = {"a load gives 3"}};
  news.rows.push_back({"munmap", 4, {}});
  news.rows[0].durations.note(2'000'000);
  storm.add(news);
  news.round = 2;
  storm.add(news);
  storm.add(StormNews{.round = 2, .idle = true});
  EXPECT_EQ(storm.works, 2u);
  EXPECT_EQ(storm.counts["device accesses"], 14u);
  EXPECT_EQ(storm.rounds.size(), 3u);
  const std::string text = storm_text(storm, {});
  EXPECT_TRUE(contains(text, "munmap                    queue    calls      p50      p90      p99      max"));
  EXPECT_TRUE(contains(text, "                           8-15        2   2.0 ms   2.0 ms   2.0 ms   2.0 ms"));
  EXPECT_TRUE(contains(text, "Values that no healthy kernel shows: 2\n  | round 1: a load gives 3\n"));
  EXPECT_TRUE(contains(text, "Leaks: not judged, after 2 working rounds; 15 are needed\n"));
  EXPECT_TRUE(contains(text, "Verdict storm-teardown forbidden (host, Linux 6.12.1, 10 s, 256 threads, seed 5)\n"));
}

TEST(StormReport, GivesAVerdict) {
  EXPECT_EQ(verdict_of(storm_of(1), {}), Verdict::agree);
  EXPECT_EQ(verdict_of(storm_of(0), {}), Verdict::inconclusive);
  StormTally storm = storm_of(1);
  storm.slow = {"round 1"};
  EXPECT_EQ(verdict_of(storm, {}), Verdict::inconclusive);
  storm.error = "no memory";
  EXPECT_EQ(verdict_of(storm, {}), Verdict::error);
  storm.lost = "its stream ended";
  EXPECT_EQ(verdict_of(storm, {}), Verdict::lost);
  storm.hang = {"round 2"};
  EXPECT_EQ(verdict_of(storm, {}), Verdict::hang);
  storm.health = {"BUG: x"};
  EXPECT_EQ(verdict_of(storm, {}), Verdict::health);
  storm.wrongs = 1;
  EXPECT_EQ(verdict_of(storm, {}), Verdict::forbidden);
  StormTally skipped = storm_of(0);
  skipped.skipped = "it has no such target";
  EXPECT_EQ(verdict_of(skipped, {}), Verdict::skipped);
}

TEST(StormReport, ALeakIsAFinding) {
  storms::LevelVerdict level{"mm_struct", 140, 170, 1, 0, 6.5, 4, true};
  EXPECT_EQ(verdict_of(storm_of(20), {level}), Verdict::health);
  EXPECT_TRUE(contains(storm_text(storm_of(20), {level}), "LEAKS: a trend of 6.5 sigma, 4.0 above idle rounds"));
  level.leaks = false;
  EXPECT_EQ(verdict_of(storm_of(20), {level}), Verdict::agree);
  EXPECT_FALSE(contains(storm_text(storm_of(20), {level}), "LEAKS"));
}

TEST(StormReport, PutsThreadsAtOnePlaceTogether) {
  Hang hang;
  hang.iteration = 3;
  hang.why = {"it survives SIGKILL"};
  for (int tid = 10; tid < 110; ++tid) {
    ThreadPlace place;
    place.pid = 9;
    place.tid = tid;
    place.state = "D";
    place.wchan = tid == 10 ? "dmirror_fault" : "rwsem_down_read_slowpath";
    place.stack = {tid == 10 ? "[<0>] dmirror_fault" : "[<0>] down_read"};
    hang.threads.push_back(place);
  }
  EXPECT_EQ(
      hang_lines(hang),
      (std::vector<std::string>{
          "round 3", "it survives SIGKILL", "1 thread (tid 10 of process 9): state D, in dmirror_fault", "  [<0>] dmirror_fault",
          "99 threads (tid 11 of process 9, ...): state D, in rwsem_down_read_slowpath", "  [<0>] down_read"}));
  StormTally storm = storm_of(1);
  storm.add(hang);
  EXPECT_EQ(verdict_of(storm, {}), Verdict::hang);
  hang.slow = true;
  StormTally slow = storm_of(1);
  slow.add(hang);
  EXPECT_EQ(verdict_of(slow, {}), Verdict::inconclusive);
}

}  // namespace
}  // namespace faultline
