// How the parser reads valid texts. Invalid ones are in parser_errors_test.cpp.
#include "harness/language/parser.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "harness/language/printer.h"

namespace faultline {
namespace {

const std::string head = "scenario x\ndevice d: recoverable\nprocess P\n  a: 2 pages anon rw = 0\n";

template <typename Op>
const Op& operation(const Program& program, int thread, int statement) {
  return std::get<Op>(program.threads.at(thread).statements.at(statement).operation);
}

TEST(Parser, ReadsTheExample) {
  const Program program = parse_file("harness/language/testdata/fork-keeps-device-store-order.scn");
  EXPECT_EQ(program.name, "fork-keeps-device-store-order");
  EXPECT_EQ(program.doc,
            "fork() unmaps the device before it copies the first page: a child cannot hold a later device store without "
            "the earlier one.");
  ASSERT_EQ(program.devices.size(), 1u);
  EXPECT_EQ(program.devices[0].device_class, DeviceClass::recoverable);
  ASSERT_EQ(program.regions.size(), 1u);
  EXPECT_EQ(program.regions[0], (Region{"a", 0, 2, Backing::anon_private, -1, {true, true}, 0, {}}));
  ASSERT_EQ(program.processes.size(), 2u);
  EXPECT_EQ(program.processes[0].parent, -1);
  EXPECT_EQ(program.processes[1].parent, 0);
  ASSERT_EQ(program.threads.size(), 3u);
  EXPECT_EQ(program.threads[0].name, "P.gpu");
  EXPECT_EQ(program.threads[2].name, "C");
  EXPECT_EQ(program.threads[2].process, 1);
  EXPECT_EQ(operation<op::Store>(program, 0, 1), (op::Store{{0, 1}, 1, {0, 0}}));
  EXPECT_EQ(program.threads[2].statements[1].name, "r1");
  EXPECT_EQ(program.threads[2].statements[1].place.line, 14);
  EXPECT_EQ(program.threads[2].statements[1].place.column, 3);
  ASSERT_EQ(program.claims.size(), 1u);
  EXPECT_EQ(program.claims[0].kind, Claim::Kind::never);
}

TEST(Parser, ReadsTheTenLinesOfItsTutorial) {
  std::ifstream description("harness/language/language.md");
  std::string example;
  for (std::string line; std::getline(description, line) && !line.starts_with("- ");) {
    if (line.starts_with("    ")) example += line + "\n";
  }
  EXPECT_EQ(std::count(example.begin(), example.end(), '\n'), 10);
  const Program program = parse(example, "language.md");
  EXPECT_EQ(program.name, "first");
  EXPECT_EQ(program.claims.size(), 1u);
}

TEST(Parser, EveryOperationIsDescribed) {
  std::stringstream description;
  description << std::ifstream("harness/language/language.md").rdbuf();
  for (const std::string& verb : operation_words()) {
    const bool first = description.str().find("`" + verb) != std::string::npos;
    EXPECT_TRUE(first || description.str().find("= " + verb) != std::string::npos) << verb;
  }
}

TEST(Parser, ReadsWhoDoesAnAccess) {
  const Program program = parse(head +
                                    "thread P.t\n  load a[0]\n  load a[0] via d\n  fork C\n"
                                    "process C\n  load a[0] via P.d\n  migrate a to d\n"
                                    "thread C.gpu on P.d\n  load a[0]\n  load a[0] via d\n  load a[0] via cpu\n"
                                    "  migrate a to d\n  snapshot a\n  migrate a to system via d\n"
                                    "  migrate a to d via P.d fail 2\n",
                                "x.scn");
  const Via cpu, of_parent{0, 0}, of_child{0, 1};
  EXPECT_EQ(operation<op::Load>(program, 0, 0).via, cpu);
  EXPECT_EQ(operation<op::Load>(program, 0, 1).via, of_parent);
  EXPECT_EQ(operation<op::Load>(program, 1, 0).via, of_parent);
  EXPECT_EQ(operation<op::Migrate>(program, 1, 1).via, of_child);
  EXPECT_EQ(program.threads[2].via, of_parent);
  EXPECT_EQ(operation<op::Load>(program, 2, 0).via, of_parent);
  EXPECT_EQ(operation<op::Load>(program, 2, 1).via, of_child);
  EXPECT_EQ(operation<op::Load>(program, 2, 2).via, cpu);
  EXPECT_EQ(operation<op::Migrate>(program, 2, 3).via, of_parent);
  EXPECT_EQ(operation<op::Snapshot>(program, 2, 4).via, of_parent);
  EXPECT_EQ(operation<op::Migrate>(program, 2, 5), (op::Migrate{{0, 0, 2}, false, of_child}));
  EXPECT_EQ(operation<op::Migrate>(program, 2, 6), (op::Migrate{{0, 0, 2}, true, of_parent, 2}));
}

TEST(Parser, ReadsPageRanges) {
  const Program program = parse(head +
                                    "  b: 4 pages none\nthread P.t\n  munmap b\n  munmap b[1]\n  munmap b[1..2]\n"
                                    "  mremap a -> b[2]\n  mremap a -> b[2] dontunmap\n",
                                "x.scn");
  EXPECT_EQ(operation<op::Munmap>(program, 0, 0).range, (PageRange{1, 0, 4}));
  EXPECT_EQ(operation<op::Munmap>(program, 0, 1).range, (PageRange{1, 1, 1}));
  EXPECT_EQ(operation<op::Munmap>(program, 0, 2).range, (PageRange{1, 1, 2}));
  EXPECT_EQ(operation<op::Mremap>(program, 0, 3), (op::Mremap{{0, 0, 2}, {1, 2}}));
  EXPECT_EQ(operation<op::Mremap>(program, 0, 4), (op::Mremap{{0, 0, 2}, {1, 2}, true}));
}

TEST(Parser, RootsHaveAMainThreadOnlyWithStatements) {
  const Program without = parse(head + "thread P.t\n  fork C\nprocess C\n", "x.scn");
  ASSERT_EQ(without.threads.size(), 2u);
  EXPECT_EQ(without.threads[1].name, "C");
  const Program with = parse(head + "  load a[0]\n", "x.scn");
  ASSERT_EQ(with.threads.size(), 1u);
  EXPECT_EQ(with.threads[0].name, "P");
}

TEST(Parser, GivesKeysTheirFullForm) {
  const Program program = parse(head +
                                    "thread P.t\n  fork C\n  r0 = load a[0] via d\n  store a[0] 1\n"
                                    "process C\n  r0 = load a[0]\n"
                                    "observe same(P:a[0], C:a[0])\n"
                                    "never P:r0 = 1\nnever C:r0 = 01\nnever P:r0.faults = hit\nnever P.t:#3 = SIGSEGV\n"
                                    "never same(C:a[0],P:a[0]) = same\n",
                                "x.scn");
  EXPECT_EQ(print(program.claims[0]), "never P.t:r0 = 1");
  EXPECT_EQ(print(program.claims[1]), "never C:r0 = 1");
  EXPECT_EQ(print(program.claims[2]), "never P.t:r0.faults = hit");
  EXPECT_EQ(print(program.claims[3]), "never P.t:#3 = SIGSEGV");
  EXPECT_EQ(print(program.claims[4]), "never same(P:a[0],C:a[0]) = same");
}

TEST(Parser, NotBindsTighterThanAndThanOr) {
  const Program program = parse(head +
                                    "  r = load a[0]\n"
                                    "never not P:r = 0 and P:r = - or P:r = zero and (P:r != 0 or P:r = alien)\n",
                                "x.scn");
  const Condition& condition = program.claims[0].condition;
  EXPECT_EQ(condition.kind, Condition::Kind::any);
  ASSERT_EQ(condition.parts.size(), 2u);
  EXPECT_EQ(condition.parts[0].kind, Condition::Kind::all);
  EXPECT_EQ(condition.parts[0].parts.at(0).kind, Condition::Kind::negation);
  EXPECT_EQ(condition.parts[1].parts.at(1).kind, Condition::Kind::any);
}

TEST(Parser, CommentsBlankLinesAndLineEndsDoNotMatter) {
  const std::string plain = head + "thread P.t\n  load a[0]\n";
  std::string other = "# first\r\n\r\n" + head + "\t\n# \xC3\xA9\nthread P.t# last\n\t\tload a [ 0 ]   # page: 0";
  EXPECT_EQ(parse(plain, "x.scn"), parse(other, "x.scn"));
}

TEST(ParseFile, SaysWhyAFileCannotBeRead) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "faultline-parser-test";
  std::filesystem::create_directories(folder);
  const auto error = [&](const std::string& name) {
    try {
      (void)parse_file(folder / name);
    } catch (const ParseError& caught) {
      return caught.diagnostic().message;
    }
    return std::string("no error");
  };
  EXPECT_EQ(error("missing"), "cannot be read: No such file or directory");
  EXPECT_EQ(error("."), "not a regular file");
  std::filesystem::remove(folder / "fifo");
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(error("fifo"), "not a regular file");
  std::ofstream(folder / "large") << std::string(limits::text_bytes + 1, '\n');
  EXPECT_EQ(error("large"), "too large for a scenario: the limit is 65536 bytes");
  std::ofstream(folder / "latin1") << "scenario x\n# \xE9\n";
  EXPECT_EQ(error("latin1"), "not UTF-8");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace faultline
