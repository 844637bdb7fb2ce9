// What is refused, and what the C text says. stress/repro/test_repro.py compiles and runs such texts.
#include "stress/repro/repro.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "harness/language/parser.h"
#include "stress/repro/pieces.h"

namespace faultline::repro {
namespace {

Program program_of(const std::string& body) { return parse("scenario s\n" + body, "s.scn"); }

// The reason of the refusal, after the line of the scenario; or empty.
std::string refused(const std::string& body, Machine machine) {
  const auto refusal = cannot_say(program_of(body), machine);
  return refusal ? std::to_string(refusal->place.line) + " " + refusal->word + ": " + refusal->why : "";
}

const std::string two_threads = R"(  "A text. */ It ends no comment."
device d: recoverable
process P
  a: 2 pages anon rw = 5
thread P.gpu on d
  g0 = load a[1]
  store a[0] 6
thread P.cpu
  e0 = munmap a
  fork C
process C
  r-0 = load a[0]
observe P:a[0] same(P:a[0], C:a[0])
never P.gpu:g0 = 5@a[0] or C:r-0 != SIGSEGV and P.cpu:e0 = ENOMEM
never P:a[0] = zero or same(P:a[0], C:a[0]) = same
)";

std::string text_of(const std::string& body, Machine machine, std::size_t claim = 0) {
  const Program program = program_of(body);
  return c_text(program, program.claims.at(claim).condition, machine, {"Linux 1.0", {"the condition"}, "The reason."});
}

TEST(Repro, SaysTheCondition) {
  const std::string text = text_of(two_threads, Machine::host);
  EXPECT_NE(text.find("if (s->P_gpu_g0 == VIA(mem_a, 5) || (s->C_r_0 != SIGNAL + SIGSEGV && s->P_cpu_e0 == -ENOMEM)) {"),
            text.npos)
      << text;
  EXPECT_EQ(text.find("static long same("), text.npos) << "nothing asks for page frames";
  EXPECT_EQ(text.find("end_P_a"), text.npos) << "nothing asks for the value at the end";
}

TEST(Repro, LooksAtTheEndState) {
  const std::string text = text_of(two_threads, Machine::host, 1);
  EXPECT_NE(text.find("s->end_P_a_0 == ZERO || s->same_P_a_0_C_a_0 == SAME"), text.npos) << text;
  EXPECT_NE(text.find("= same(proc_P, mem_a, proc_C, mem_a);"), text.npos);
}

TEST(Repro, DrivesTheDevice) {
  EXPECT_NE(text_of(two_threads, Machine::host).find("s->P_gpu_g0 = load(mem_a + 1 * PAGE);"), std::string::npos);
  EXPECT_NE(text_of(two_threads, Machine::pinned).find("s->P_gpu_g0 = pinned_load(mem_a + 1 * PAGE);"), std::string::npos);
  const std::string dmirror = text_of(two_threads, Machine::dmirror);
  EXPECT_NE(dmirror.find("s->P_gpu_g0 = device_load(dev_P_d, mem_a + 1 * PAGE, NULL);"), std::string::npos);
  EXPECT_EQ(dmirror.find("io_uring"), std::string::npos) << "only what is used";
}

TEST(Repro, TellsItsStory) {
  const std::string text = text_of(two_threads, Machine::host);
  const std::string comment = text.substr(0, text.find("*/"));
  for (const char* words : {"A text. * / It ends no comment.", "the condition", "The reason.", "seen on Linux 1.0", "fork C"})
    EXPECT_NE(comment.find(words), comment.npos) << words << "\n" << comment;
}

TEST(Repro, RefusesWhatItsMachineCannotDo) {
  const std::string head = "device d: recoverable\nprocess P\n  a: 1 page anon rw = 5\nthread P.t on d\n  ";
  const std::string cannot_say_it = "a CPU thread in the place of a device cannot do it";
  EXPECT_EQ(refused(head + "m0 = migrate a to d\n", Machine::host), "6 migrate: " + cannot_say_it);
  EXPECT_EQ(refused(head + "m0 = migrate a to d\n", Machine::dmirror), "");
  EXPECT_EQ(refused(head + "pin a\n", Machine::host), "6 pin: " + cannot_say_it);
  EXPECT_EQ(refused(head + "pin a\n", Machine::pinned), "");
  EXPECT_EQ(refused(head + "open d\n  pin a\n", Machine::dmirror),
            "6 open: a reproducer on test_hmm has either pins or an open and a close");
  EXPECT_EQ(refused(head + "uffd-wake a\n", Machine::host), "");
  EXPECT_EQ(refused("device d: fatal-faults\nprocess P\n  a: 1 page svm-fine = 0\nthread P.t\n  load a[0]\n", Machine::host),
            "4 a: a buffer needs a driver of OpenCL");
}

TEST(Repro, RefusesABarrierThatADeadThreadDoesNotReach) {
  const std::string head = "process P\n  a: 1 page anon rw = 5\nthread P.t\n  fork C\n  ";
  const std::string tail = "process C\n  barrier b\n";
  EXPECT_EQ(refused(head + "barrier b\n  kill C\n" + tail, Machine::host), "");
  EXPECT_EQ(refused(head + "kill C\n  barrier b\n" + tail, Machine::host),
            "7 barrier: a process may end before its thread comes there");
  EXPECT_EQ(refused(head + "barrier b\n  barrier b\n" + tail, Machine::host),
            "6 barrier: its threads do not name it equally often");
}

TEST(Repro, RefusesWhatItCannotSee) {
  const Program program = program_of(
      "device d: recoverable\nprocess P\n  a: 1 page anon rw = 5\nthread P.t on d\n  g0 = load a[0]\n"
      "observe where(P:a[0]) events(P:a[0])\nnever P:g0.faults = hit\nnever where(P:a[0]) = device\n"
      "never events(P:a[0]) = none\nnever P:g0 = unknown\n");
  const auto told = [&](int claim, Machine machine) {
    return !cannot_tell(program, program.claims.at(static_cast<std::size_t>(claim)).condition, machine);
  };
  EXPECT_TRUE(told(0, Machine::dmirror));
  EXPECT_FALSE(told(0, Machine::host));
  EXPECT_TRUE(told(1, Machine::dmirror));
  EXPECT_FALSE(told(1, Machine::pinned));
  EXPECT_FALSE(told(2, Machine::dmirror));
  EXPECT_FALSE(told(3, Machine::dmirror));
}

TEST(Repro, TakesThePiecesThatAreUsed) {
  const std::string text = assembled({"static struct shared { int x; } *s;\n", "/* fill */ void f(void) { load(\"map\"); }\n"});
  EXPECT_NE(text.find("static long load("), text.npos);
  EXPECT_NE(text.find("#include <setjmp.h>"), text.npos) << "which load() needs";
  EXPECT_EQ(text.find("static void fill("), text.npos) << "a comment uses nothing";
  EXPECT_EQ(text.find("static long map("), text.npos) << "nor does a string";
  EXPECT_EQ(text.find("@"), text.npos);
}

}  // namespace
}  // namespace faultline::repro
