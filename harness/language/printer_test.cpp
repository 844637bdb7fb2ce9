#include "harness/language/printer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <set>

#include "harness/language/parser.h"
#include "harness/language/random_program.h"

namespace faultline {
namespace {

// Parses and prints all scenarios of a folder. Tests run in the root of the checkout.
void round_trip(const std::string& folder, int& files) {
  if (!std::filesystem::exists(folder)) return;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".scn") continue;
    SCOPED_TRACE(entry.path());
    files++;
    try {
      const Program program = parse_file(entry.path());
      const std::string text = print(program);
      EXPECT_EQ(parse(text, "printed"), program) << text;
      EXPECT_EQ(print(parse(text, "printed")), text);
    } catch (const ParseError& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST(Printer, ScenarioFilesComeBackEqual) {
  int files = 0;
  round_trip("harness/language/testdata", files);
  EXPECT_GE(files, 3);
  round_trip("stress/scenarios", files);
  round_trip("opencl_tests", files);
}

TEST(Printer, RandomProgramsComeBackEqual) {
  constexpr int programs = 3000;
  for (int seed = 0; seed < programs; seed++) {
    std::mt19937 random(seed);
    const Program program = test::random_program(random);
    const std::string text = print(program);
    try {
      ASSERT_EQ(parse(text, "printed"), program) << "seed " << seed << ":\n" << text;
    } catch (const ParseError& error) {
      FAIL() << "seed " << seed << ": " << error.what() << "in:\n" << text;
    }
  }
}

// One that is added to Operation and not drawn above would never come back.
TEST(Printer, RandomProgramsHaveEveryOperation) {
  std::set<std::size_t> drawn, all;
  for (int seed = 0; seed < 3000; seed++) {
    std::mt19937 random(seed);
    for (const Thread& thread : test::random_program(random).threads)
      for (const Statement& statement : thread.statements) drawn.insert(statement.operation.index());
  }
  // Those of the memory model stand beside nothing else.
  const std::set<std::size_t> apart{Operation(op::Update{}).index(), Operation(op::SvmMap{}).index(),
                                    Operation(op::SvmUnmap{}).index(), Operation(op::SvmCopy{}).index(),
                                    Operation(op::SvmFill{}).index()};
  for (std::size_t each = 0; each < std::variant_size_v<Operation>; each++)
    EXPECT_NE(drawn.contains(each), apart.contains(each)) << "operation " << each;
}

TEST(Printer, PrintsWhatAPersonWouldWrite) {
  const std::string text =
      "scenario example\n"
      "  \"One sentence.\"\n"
      "device d: recoverable\n"
      "process P\n"
      "  a: 1 page anon rw = 0\n"
      "  b: 4 pages none\n"
      "thread P.gpu on d\n"
      "  r0 = load a[0]\n"
      "  migrate a to system\n"
      "  mremap a -> b[3]\n"
      "  fork C\n"
      "process C\n"
      "  store a[0] 1 via P.d\n"
      "  migrate b[1..2] to d\n"
      "  delay 2ms\n"
      "observe P:a[0]\n"
      "never P.gpu:r0 = 1 and (P:a[0] = zero or not P.gpu:r0 != EFAULT)\n";
  EXPECT_EQ(print(parse(text, "example")), text);
}

TEST(Printer, KeepsTheOrderOfThreadsAndProcesses) {
  const std::string text =
      "scenario order\n"
      "process P\n"
      "  a: 1 page anon rw\n"
      "thread C.x\n"
      "  load a[0]\n"
      "thread P.t\n"
      "  fork C\n"
      "process C\n"
      "  fork D\n"
      "process D\n";
  const Program program = parse(text, "order");
  EXPECT_EQ(print(program), text);
  ASSERT_EQ(program.threads.size(), 4u);
  EXPECT_EQ(program.threads[0].name, "C.x");
  EXPECT_EQ(program.threads[3].name, "D");
}

}  // namespace
}  // namespace faultline
