#include "harness/run/machine.h"

#include <filesystem>
#include <fstream>
#include <system_error>

#include <gtest/gtest.h>

namespace faultline {
namespace {

using std::chrono::milliseconds;
using Kind = Machine::Received::Kind;

Machine::Spec shell(const std::string& script) {
  Machine::Spec spec;
  spec.name = "test";
  spec.command = {"/bin/sh", "-c", script};
  return spec;
}

TEST(Machine, Lines) {
  Machine machine(shell("read a; echo \"got $a\"; printf 'two\\nthr'; sleep 0.1; echo ee"));
  EXPECT_EQ(machine.receive(milliseconds(20)).kind, Kind::nothing);
  EXPECT_TRUE(machine.send("hello"));
  EXPECT_EQ(machine.receive(milliseconds(5000)).line, "got hello");
  EXPECT_EQ(machine.receive(milliseconds(5000)).line, "two");
  EXPECT_EQ(machine.receive(milliseconds(5000)).line, "three");
  EXPECT_EQ(machine.receive(milliseconds(5000)).kind, Kind::gone);
  EXPECT_EQ(machine.ending(), "exit status 0");
  EXPECT_FALSE(machine.send("anyone?"));
}

TEST(Machine, HowItEnded) {
  Machine status(shell("exit 7"));
  EXPECT_EQ(status.receive(milliseconds(5000)).kind, Kind::gone);
  EXPECT_EQ(status.ending(), "exit status 7");
  Machine signal(shell("kill -SEGV $$"));
  EXPECT_EQ(signal.receive(milliseconds(5000)).kind, Kind::gone);
  EXPECT_EQ(signal.ending(), "killed by SIGSEGV");
  Machine running(shell("sleep 100"));
  EXPECT_EQ(running.ending(), "");
  running.kill();
  EXPECT_EQ(running.ending(), "killed by SIGKILL");
}

TEST(Machine, NoSuchCommand) {
  Machine::Spec spec;
  spec.command = {"/nowhere/agent"};
  try {
    Machine machine(spec);
    FAIL();
  } catch (const std::system_error& error) {
    EXPECT_STREQ(error.what(), "/nowhere/agent: No such file or directory");
  }
}

TEST(Machine, TheWholeGroupIsEnded) {
  const std::string mark = std::filesystem::temp_directory_path() / ("group-" + std::to_string(::getpid()));
  {
    Machine machine(shell("sh -c 'sleep 2; touch " + mark + "' & echo up; trap '' TERM; read x; exit 0"));
    EXPECT_EQ(machine.receive(milliseconds(5000)).line, "up");
  }
  ::sleep(3);
  EXPECT_FALSE(std::filesystem::exists(mark));
}

TEST(Machine, LastWords) {
  const std::string name = std::filesystem::temp_directory_path() / ("words-" + std::to_string(::getpid()));
  Machine::Spec spec = shell("printf 'boot\\r\\n' >&2; echo up; read x; printf '\\033[1mBUG: bad\\r\\n\\r\\nlast' >&2");
  spec.errors = name;
  {
    Machine machine(spec);
    machine.receive(milliseconds(5000));
    const std::uint64_t mark = machine.console_size();
    EXPECT_EQ(mark, 6u);
    machine.send("go");
    machine.receive(milliseconds(5000));
    EXPECT_EQ(machine.console_since(mark), (std::vector<std::string>{"[1mBUG: bad", "last"}));
    EXPECT_EQ(machine.console_since(0, 1), (std::vector<std::string>{"last"}));
  }
  EXPECT_TRUE(std::filesystem::exists(name));
  std::filesystem::remove(name);
}

}  // namespace
}  // namespace faultline
