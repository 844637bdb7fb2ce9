#include "stress/campaign/campaign.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "harness/language/parser.h"
#include "harness/language/printer.h"
#include "kernels_ref/predict.h"

namespace faultline {
namespace {

using nlohmann::json;

Scenario written(const std::string& name, const std::string& body) {
  Scenario result;
  result.file = name + ".scn";
  result.text = "scenario " + name + "\n" + body;
  result.program = parse(result.text, result.file);
  return result;
}

std::vector<Scenario> some_written() {
  return {written("one", "process P\n  a: 1 page anon rw = 5\n  r0 = load a[0]\n"),
          written("race",
                  "device d: recoverable\nprocess P\n  a: 1 page anon rw = 5\nthread P.gpu on d\n  r0 = load a[0]\n"
                  "thread P.cpu\n  store a[0] 1\n"),
          written("same-as-one", "process P\n  a: 1 page anon rw = 5\n  r0 = load a[0]\n"),
          written("too-much", "device d: recoverable\nprocess P\n  a: 1 page anon rw = 5\nthread P.gpu on d\n  pin a\n")};
}

Capabilities host() { return {.device_class = DeviceClass::shares_cpu_tables}; }

// A campaign on a target that is a function: it gives the outcomes of a slice.
struct Fake {
  using Kernel = std::function<std::map<Outcome, int>(const Program&, const Allowed&)>;

  explicit Fake(Kernel run = {}, const std::string& journal_of_before = "") : kernel(std::move(run)), campaign(options()) {
    std::istringstream before(journal_of_before);
    resumed = campaign.resume(before);
    journal = journal_of_before;
  }

  Campaign::Options options() {
    return {.written = some_written(),
            .predictor =
                [](const Program& program, DeviceClass device_class, const std::function<bool(std::uint64_t)>& keep_going) {
                  return predict(program, {.device_class = device_class}, {.workers = 1}, keep_going);
                },
            .seed = 7,
            .seconds = 20,
            .stopped = [] { return false; },
            .write = [this](const std::string& event, json record) { write(event, std::move(record)); },
            .found = [this](const Finding& finding) { told.push_back(finding.scenario); },
            .clock = [this] { return seconds; }};
  }

  void write(const std::string& event, json record) {
    record["ev"] = event;
    journal += record.dump() + "\n";
  }

  // As a run does it.
  void slices(int count, bool killed_in_last = false) {
    for (int i = 0; i < count; ++i) {
      const std::optional<Work> work = campaign.next("host", host());
      ASSERT_TRUE(work.has_value());
      order.push_back(work->scenario->program.name);
      Trial& trial = trials[work->scenario.get()];
      if (!trial.started) {
        trial.started = true;
        trial.target = "host";
        trial.program = work->scenario->program;
        trial.allowed =
            project(predict(trial.program, {.device_class = host().device_class}, {.workers = 1}), trial.program, host().sight);
        write("scenario",
              {{"scenario", trial.program.name}, {"target", "host"}, {"kernel", "6.1"}, {"text", work->scenario->text}});
      }
      write("slice", {{"scenario", trial.program.name}, {"target", "host"}, {"seed", work->seed}});
      const std::map<Outcome, int> seen =
          kernel ? kernel(trial.program, trial.allowed) : std::map<Outcome, int>{{trial.allowed.outcomes.front(), 10}};
      json outcomes = json::array();
      for (const auto& [outcome, times] : seen) {
        outcomes.push_back({{"texts", outcome}, {"count", times}});
        trial.seen[outcome].count += static_cast<std::uint64_t>(times);
        trial.iterations += static_cast<std::uint64_t>(times);
      }
      write("batch", {{"scenario", trial.program.name}, {"target", "host"}, {"count", 10}, {"outcomes", outcomes}});
      if (killed_in_last && i == count - 1) return;
      seconds += work->seconds;
      trial.seconds += work->seconds;
      if (campaign.told(trial, false)) trials.erase(work->scenario.get());
    }
  }

  Kernel kernel;
  double seconds = 0;
  std::string journal;
  std::vector<std::string> order, told;
  std::map<const Scenario*, Trial> trials;
  Campaign campaign;
  std::size_t resumed = 0;
};

// A kernel that shows what is forbidden, in one scenario.
Fake::Kernel broken_in(const std::string& name) {
  return [name](const Program& program, const Allowed& allowed) {
    Outcome outcome = allowed.outcomes.front();
    if (program.name == name) outcome.front() = "alien";
    return std::map<Outcome, int>{{outcome, 10}};
  };
}

TEST(Campaign, WrittenScenariosGoFirstThenAllPoolsShareTheTime) {
  Fake fake;
  fake.slices(60);
  // What another one has tested already goes last; what the target cannot run goes never.
  EXPECT_EQ(std::vector(fake.order.begin(), fake.order.begin() + 3), (std::vector<std::string>{"race", "one", "same-as-one"}));
  const Campaign::Status status = fake.campaign.status();
  EXPECT_GT(status.by_pool[static_cast<int>(Pool::small)], 5u);
  EXPECT_GT(status.by_pool[static_cast<int>(Pool::random)], 5u);
  EXPECT_EQ(status.by_pool[static_cast<int>(Pool::written)], 3u);
  EXPECT_EQ(status.iterations, 600u);
  EXPECT_GT(status.allowed, status.seen);
  EXPECT_EQ(std::ranges::count(fake.order, "too-much"), 0);
  EXPECT_TRUE(fake.told.empty());
}

TEST(Campaign, TheSeedTellsWhatRuns) {
  Fake one, other;
  one.slices(40);
  other.slices(40);
  EXPECT_EQ(one.order, other.order);
}

TEST(Campaign, AFindingIsToldOnceAndTheScenarioIsOver) {
  Fake fake(broken_in("race"));
  fake.slices(40);
  ASSERT_EQ(fake.campaign.found().size(), 1u);
  EXPECT_EQ(fake.campaign.found()[0].finding.scenario, "race");
  EXPECT_EQ(fake.campaign.found()[0].count, 10u);
  EXPECT_TRUE(fake.campaign.knows(fake.campaign.found()[0].finding));
  EXPECT_EQ(std::ranges::count(fake.order, "race"), 1);
}

TEST(Campaign, GoesOnWhereItStopped) {
  Fake whole, first(broken_in("race"));
  whole.slices(60);
  first.slices(30);
  Fake second(broken_in("race"), first.journal);
  EXPECT_EQ(second.resumed, 30u);
  EXPECT_EQ(second.campaign.status().iterations, 300u);
  EXPECT_EQ(second.campaign.status().findings, 1u);
  second.slices(30);
  EXPECT_TRUE(second.told.empty()) << "a finding was told again";
  // No generated program comes a second time.
  std::set<std::string> before(first.order.begin(), first.order.end());
  for (const std::string& name : second.order)
    EXPECT_TRUE(!before.contains(name) || name == "one" || name == "same-as-one") << name;
  EXPECT_EQ(std::ranges::count(second.order, "race"), 0);
}

TEST(Campaign, AFindingThatNobodyToldIsNotLost) {
  Fake first(broken_in("race"));
  first.slices(1, true);
  ASSERT_EQ(first.order.back(), "race");
  EXPECT_TRUE(first.told.empty());
  std::string cut = first.journal + "{\"ev\":\"campaign\",\"target\":\"ho";
  Fake second({}, cut);
  second.slices(1);
  EXPECT_EQ(second.told, std::vector<std::string>{"race"});

  Fake healthy;
  healthy.slices(1, true);
  Fake after({}, healthy.journal);
  after.slices(1);
  EXPECT_TRUE(after.told.empty());
}

TEST(Campaign, ForeignLinesOfAJournalArePassedOver) {
  Fake fake({},
            "garbage\n[1]\n{\"ev\":\"campaign\",\"target\":\"host\",\"pool\":\"nonsense\"}\n{\"ev\":\"campaign_finding\"}\n\n");
  EXPECT_EQ(fake.resumed, 0u);
  fake.slices(3);
}

Trial reported(const std::string& scenario, const std::string& line) {
  Trial trial;
  trial.target = "lab:dmirror";
  trial.program.name = scenario;
  trial.health = {line};
  return trial;
}

TEST(Findings, AReportIsTheSameWhereverItShows) {
  Findings findings;
  EXPECT_EQ(findings.add(reported("one", "BUG: KASAN: use-after-free in f+0x1c/0x40 at addr ffff8881"), "", 1).size(), 1u);
  EXPECT_EQ(findings.add(reported("other", "BUG: KASAN: use-after-free in f+0x2c/0x40 at addr ffff8889"), "", 2).size(), 0u);
  EXPECT_EQ(findings.add(reported("other", "BUG: KASAN: use-after-free in g+0x2c/0x40 at addr ffff8889"), "", 3).size(), 1u);
  ASSERT_EQ(findings.all().size(), 2u);
  EXPECT_EQ(findings.all()[0].again, 1);
  EXPECT_EQ(findings.all()[0].finding.seconds, 1);
}

TEST(Findings, SurviveTheirRecord) {
  Findings findings;
  const CampaignFinding finding = findings.add(reported("one", "BUG: a thing"), "scenario one", 1.5).front();
  EXPECT_EQ(to_json(finding_of(to_json(finding))), to_json(finding));
  Findings again;
  again.restore(finding);
  EXPECT_TRUE(again.add(reported("two", "BUG: a thing"), "", 2).empty());
}

}  // namespace
}  // namespace faultline
