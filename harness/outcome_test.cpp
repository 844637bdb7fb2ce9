#include "harness/outcome.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <stdexcept>

#include "harness/language/parser.h"

namespace faultline {
namespace {

Program example() {
  return parse(
      "scenario x\n"
      "device d: recoverable\n"
      "process P\n"
      "  a: 2 pages anon rw = 0\n"
      "  b: 2 pages none\n"
      "thread P.gpu on d\n"
      "  store a[0] 1\n"
      "  barrier go\n"
      "  g0 = load a[1]\n"
      "  load a[1] via cpu\n"
      "  s0 = snapshot a\n"
      "thread P.cpu\n"
      "  barrier go\n"
      "  fork C\n"
      "  delay 5us\n"
      "process C\n"
      "  r0 = load a[0]\n"
      "observe P:a[1] same(P:a[0], C:a[0])\n",
      "x.scn");
}

std::vector<std::string> keys(const std::vector<Observable>& schema) {
  std::vector<std::string> result;
  for (const Observable& observable : schema) result.push_back(observable.key);
  return result;
}

TEST(Schema, StatementsByThreadThenObserves) {
  const std::vector<std::string> expected{"P.gpu:#1", "P.gpu:#1.faults", "P.gpu:g0", "P.gpu:g0.faults", "P.gpu:#4",
                                          "P.gpu:s0", "P.cpu:#2",        "C:r0",     "P:a[1]",          "same(P:a[0],C:a[0])"};
  EXPECT_EQ(keys(schema(example())), expected);
}

TEST(Schema, PointsAtWhatItIsOf) {
  const std::vector<Observable> all = schema(example());
  EXPECT_EQ(all[3].kind, Observable::Kind::faults);
  EXPECT_EQ(all[3].thread, 0);
  EXPECT_EQ(all[3].statement, 2);
  EXPECT_EQ(all[3].observe, -1);
  EXPECT_EQ(all[8].kind, Observable::Kind::value);
  EXPECT_EQ(all[8].observe, 0);
  EXPECT_EQ(all[8].thread, -1);
  EXPECT_EQ(all[9].kind, Observable::Kind::identity);
  EXPECT_EQ(all[9].observe, 1);
}

TEST(Schema, LeavesOutWhatATargetCannotTell) {
  const std::vector<std::string> expected{"P.gpu:#1", "P.gpu:g0", "P.gpu:#4", "P.gpu:s0", "P.cpu:#2", "C:r0", "P:a[1]"};
  EXPECT_EQ(keys(schema(example(), {false, false})), expected);
}

TEST(Schema, WherePagesAreForThoseWhoCanTell) {
  Program program = example();
  program.observes = {{Observe::Kind::where, 0, {0, 1}, 0, {}, {}}};
  EXPECT_EQ(keys(schema(program)).back(), "where(P:a[1])");
  EXPECT_EQ(schema(program).back().kind, Observable::Kind::location);
  EXPECT_EQ(keys(schema(program, {.location = false})).back(), "C:r0");
}

TEST(Schema, APageThatMayStayMayBeSeen) {
  Observable frames{Observable::Kind::identity, "k", -1, -1, 0};
  EXPECT_FALSE(at_or_below(frames, "different", "-"));
  frames.stays = true;
  EXPECT_TRUE(at_or_below(frames, "different", "-"));
  EXPECT_FALSE(at_or_below(frames, "different", "same"));
  EXPECT_FALSE(at_or_below(frames, "-", "same"));
}

TEST(Events, WeatherAddsAndNeverTakes) {
  using Weather = Observable::Weather;
  const auto allows = [](Weather weather, const std::string& seen, const std::string& allowed) {
    Observable events{Observable::Kind::events, "k", -1, -1, 0};
    events.weather = weather;
    return at_or_below(events, seen, allowed);
  };
  EXPECT_TRUE(allows(Weather::none, "DUS", "DUS"));
  EXPECT_TRUE(allows(Weather::none, "none", "none"));
  EXPECT_FALSE(allows(Weather::none, "DUUS", "DUS"));
  EXPECT_TRUE(allows(Weather::unmaps, "DUUSU", "DUS"));
  EXPECT_FALSE(allows(Weather::unmaps, "UD", "D"));  // the device had no mapping that could be unmapped
  EXPECT_FALSE(allows(Weather::unmaps, "U", "none"));
  EXPECT_FALSE(allows(Weather::unmaps, "none", "D"));
  EXPECT_FALSE(allows(Weather::unmaps, "DU", "DUS"));    // an event is missing,
  EXPECT_FALSE(allows(Weather::unmaps, "DUSD", "DUS"));  // there is one too many,
  EXPECT_FALSE(allows(Weather::unmaps, "DUD", "DUS"));   // the migration goes to the wrong place,
  EXPECT_FALSE(allows(Weather::unmaps, "DUFS", "DUS"));
  EXPECT_FALSE(allows(Weather::unmaps, "DER", "D"));     // or the event belongs to another weather
  EXPECT_TRUE(allows(Weather::unmaps, "DUSSU", "DUS"));  // the migration took two attempts
  EXPECT_FALSE(allows(Weather::unmaps, "DUSUS", "DUS"));
  EXPECT_FALSE(allows(Weather::none, "DUSS", "DUS"));
  EXPECT_TRUE(allows(Weather::faults, "DFUFU", "DF"));  // the device faults again on a page that was unmapped,
  EXPECT_TRUE(allows(Weather::faults, "DFF", "DF"));    // or until the driver answers,
  EXPECT_FALSE(allows(Weather::faults, "DF", "D"));     // but not otherwise
  EXPECT_FALSE(allows(Weather::faults, "D", "DF"));
  EXPECT_FALSE(allows(Weather::faults, "DUF", "DFU"));
  EXPECT_FALSE(allows(Weather::faults, "UF", "F"));
  EXPECT_FALSE(allows(Weather::none, "DFF", "DF"));
  EXPECT_TRUE(allows(Weather::stops, "DER", "D"));
  EXPECT_TRUE(allows(Weather::stops, "ERDER", "DER"));
  EXPECT_TRUE(allows(Weather::stops, "ERDUER", "DU"));
  EXPECT_TRUE(allows(Weather::stops, "DERE", "DE"));
  EXPECT_FALSE(allows(Weather::stops, "DER", "DE"));  // the prediction ends with stopped queues, so nothing restarts them
  EXPECT_FALSE(allows(Weather::stops, "DERE", "DER"));
  EXPECT_FALSE(allows(Weather::stops, "DEE", "DE"));
  EXPECT_FALSE(allows(Weather::stops, "DR", "D"));
  EXPECT_FALSE(allows(Weather::stops, "D", "DER"));
  EXPECT_FALSE(allows(Weather::stops, "DU", "D"));
  EXPECT_TRUE(allows(Weather::faults, "DFUSDFUSD", "DFUS*"));
  EXPECT_TRUE(allows(Weather::none, "DFUS", "DFUS*"));
  EXPECT_FALSE(allows(Weather::none, "DFU", "DFUS*"));
  EXPECT_TRUE(allows(Weather::none, "gap (events were dropped)", "DUS"));
}

TEST(Describe, NamedOrAll) {
  const Program program = example();
  const std::vector<Observable> all = schema(program);
  const Outcome outcome{"ok", "fault", "zero", "hit", "0", "r.", "ok", "1", "0", "same"};
  EXPECT_EQ(describe(all, program, outcome, false), "P.gpu:g0=zero P.gpu:s0=r. C:r0=1 P:a[1]=0 same(P:a[0],C:a[0])=same");
  EXPECT_EQ(describe(all, program, outcome, true),
            "P.gpu:#1=ok P.gpu:#1.faults=fault P.gpu:g0=zero P.gpu:g0.faults=hit P.gpu:#4=0 P.gpu:s0=r. P.cpu:#2=ok "
            "C:r0=1 P:a[1]=0 same(P:a[0],C:a[0])=same");
}

TEST(Texts, OfResults) {
  const Program program = example();
  EXPECT_EQ(value_text(program, {0, 1}, {0, 1}, 7), "7");
  EXPECT_EQ(value_text(program, {0, 1}, {1, 0}, 7), "7@b[0]");
  EXPECT_EQ(value_text(program, {0, 1}, {0, 0}, 0), "0@a[0]");
  EXPECT_EQ(cell_text(program, {1, 1}), "b[1]");
  EXPECT_EQ(errno_text(0), "ok");
  EXPECT_EQ(errno_text(EPERM), "EPERM");
  EXPECT_EQ(errno_text(EAGAIN), "EAGAIN");
  EXPECT_EQ(errno_text(512), "E512");
  EXPECT_EQ(signal_text(SIGSEGV), "SIGSEGV");
  EXPECT_EQ(signal_text(SIGBUS), "SIGBUS");
  EXPECT_EQ(signal_text(1234), "SIG1234");
}

// The bytes of test_hmm_uapi.h (HMM_DMIRROR_PROT_*).
TEST(Texts, SnapshotLetters) {
  constexpr unsigned char error = 0xFF, none = 0x00, read = 0x01, write = 0x02, pmd = 0x04, pud = 0x08, zero = 0x10;
  constexpr unsigned char private_local = 0x20, private_remote = 0x30, coherent_local = 0x40, coherent_remote = 0x50;
  EXPECT_EQ(snapshot_letter(error), '!');
  EXPECT_EQ(snapshot_letter(none), '.');
  EXPECT_EQ(snapshot_letter(read), 'r');
  EXPECT_EQ(snapshot_letter(write), 'w');
  EXPECT_EQ(snapshot_letter(zero | read), 'z');
  EXPECT_EQ(snapshot_letter(zero | write), 'Z');
  EXPECT_EQ(snapshot_letter(private_local | read), 'd');
  EXPECT_EQ(snapshot_letter(private_local | write), 'D');
  for (const unsigned char other : {private_remote, coherent_local, coherent_remote}) {
    EXPECT_EQ(snapshot_letter(other | read), 'x');
    EXPECT_EQ(snapshot_letter(other | write), 'x');
  }
  for (const unsigned char huge : {pmd, pud}) {
    EXPECT_EQ(snapshot_letter(write | huge), 'w');
    EXPECT_EQ(snapshot_letter(zero | read | huge), 'z');
  }
}

TEST(AtOrBelow, ADeviceMayAlwaysFault) {
  const Observable faults{Observable::Kind::faults, "k.faults", 0, 0, -1};
  EXPECT_TRUE(at_or_below(faults, "fault", "hit"));
  EXPECT_TRUE(at_or_below(faults, "hit", "hit"));
  EXPECT_FALSE(at_or_below(faults, "hit", "fault"));
  EXPECT_FALSE(at_or_below(faults, "fault", "-"));
  EXPECT_FALSE(at_or_below(faults, "unknown", "hit"));
}

TEST(AtOrBelow, EverythingElseIsEqual) {
  const Observable result{Observable::Kind::result, "k", 0, 0, -1};
  EXPECT_TRUE(at_or_below(result, "7", "7"));
  EXPECT_FALSE(at_or_below(result, "fault", "hit"));
  EXPECT_FALSE(at_or_below(result, "zero", "0"));
}

TEST(AtOrBelow, OutcomesAsAWhole) {
  const std::vector<Observable> both{{Observable::Kind::result, "k", 0, 0, -1}, {Observable::Kind::faults, "k.faults", 0, 0, -1}};
  EXPECT_TRUE(at_or_below(both, {"7", "fault"}, {"7", "hit"}));
  EXPECT_FALSE(at_or_below(both, {"8", "fault"}, {"7", "hit"}));
  EXPECT_FALSE(at_or_below(both, {"7"}, {"7", "hit"}));
  EXPECT_FALSE(at_or_below(both, {"7", "hit"}, {"7"}));
}

TEST(Holds, EveryKindOfCondition) {
  const std::vector<Observable> two{{Observable::Kind::result, "x", 0, 0, -1}, {Observable::Kind::result, "y", 0, 1, -1}};
  const Outcome outcome{"1", "2"};
  const auto is = [](const std::string& key, const std::string& value) {
    return Condition{Condition::Kind::equal, key, value, {}, {}};
  };
  const auto made = [](Condition::Kind kind, std::vector<Condition> parts) {
    return Condition{kind, "", "", std::move(parts), {}};
  };
  EXPECT_TRUE(holds(is("x", "1"), two, outcome));
  EXPECT_FALSE(holds(is("y", "1"), two, outcome));
  EXPECT_TRUE(holds(Condition{Condition::Kind::not_equal, "y", "1", {}, {}}, two, outcome));
  EXPECT_TRUE(holds(made(Condition::Kind::all, {is("x", "1"), is("y", "2")}), two, outcome));
  EXPECT_FALSE(holds(made(Condition::Kind::all, {is("x", "1"), is("y", "3")}), two, outcome));
  EXPECT_TRUE(holds(made(Condition::Kind::any, {is("x", "3"), is("y", "2")}), two, outcome));
  EXPECT_FALSE(holds(made(Condition::Kind::any, {is("x", "3"), is("y", "3")}), two, outcome));
  EXPECT_FALSE(holds(made(Condition::Kind::negation, {is("x", "1")}), two, outcome));
}

TEST(Holds, OnlyWhereItCanBeDecided) {
  const std::vector<Observable> one{{Observable::Kind::result, "x", 0, 0, -1}};
  const Condition known{Condition::Kind::equal, "x", "1", {}, {}};
  const Condition unseen{Condition::Kind::equal, "x.faults", "hit", {}, {}};
  const Condition either{Condition::Kind::any, "", "", {known, unseen}, {}};
  EXPECT_TRUE(decidable(known, one));
  EXPECT_FALSE(decidable(unseen, one));
  EXPECT_FALSE(decidable(either, one));
  EXPECT_THROW((void)holds(unseen, one, {"1"}), std::invalid_argument);
}

}  // namespace
}  // namespace faultline
