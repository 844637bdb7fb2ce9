// The exact errors about userfaultfd: wrong words, memory that it is not for, and a fault that nobody resolves.
#include <gtest/gtest.h>

#include "harness/language/parser.h"
#include "harness/language/waits.h"

namespace faultline {
namespace {

// "no error", or the rendered message.
std::string error_of(const std::string& text) {
  try {
    (void)parse(text, "x.scn");
  } catch (const ParseError& error) {
    return render(error.diagnostic());
  }
  return "no error";
}

const std::string head = "scenario s\nprocess P\n  a: 1 page anon rw\n";

TEST(Userfault, WrongWords) {
  EXPECT_EQ(error_of(head + "thread P.t\n  uffd-register a\n"),
            "x.scn:5:18: expected which faults wait (missing, wp or both), found the end of the line\n"
            "    uffd-register a\n                   ^\n");
  EXPECT_EQ(error_of(head + "thread P.t\n  uffd-register a minor\n"),
            "x.scn:5:19: expected which faults wait (missing, wp or both), found 'minor'\n"
            "    uffd-register a minor\n                    ^~~~~\n");
  EXPECT_EQ(error_of(head + "thread P.t\n  uffd-cpy a[0] 1\n"),
            "x.scn:5:3: unknown word 'uffd-cpy'\n    uffd-cpy a[0] 1\n    ^~~~~~~~\n  did you mean 'uffd-copy'?\n");
}

TEST(Userfault, AnonymousMemoryAlone) {
  EXPECT_EQ(error_of(head + "  s: 1 page shared rw\nthread P.t\n  uffd-wake a\n"),
            "x.scn:4:3: in a scenario with userfaultfd, all memory is 'anon' or 'none'\n"
            "    s: 1 page shared rw\n    ^\n");
  EXPECT_EQ(error_of(head + "  n: 1 page none\nthread P.t\n  uffd-wake a\nthread P.u\n  mmap n stack rw\n"),
            "x.scn:8:8: in a scenario with userfaultfd, all memory is 'anon' or 'none'\n"
            "    mmap n stack rw\n         ^\n");
  EXPECT_EQ(error_of(head + "  n: 1 page none\nthread P.t\n  uffd-wake a\n  mmap n anon rw\n"), "no error");
  EXPECT_EQ(error_of(head + "  s: 1 page shared rw\nthread P.t\n  load a[0]\n"), "no error");
}

TEST(Userfault, NobodyResolvesIt) {
  const std::string text = head +
                           "thread P.t\n  uffd-register a missing\n  r0 = load a[0]\nthread P.u\n  barrier go\nthread P.v\n"
                           "  uffd-wake a\n  barrier go\n";
  const Program program = parse(text, "x.scn");
  EXPECT_EQ(
      render(endless_wait(program, Source(text, "x.scn"), {{0, 1}}, false)),
      "x.scn:6:13: may wait for ever: nothing resolves or wakes its userfault\n"
      "    r0 = load a[0]\n              ^\n"
      "  another thread of the process resolves a fault by uffd-copy, uffd-zero, uffd-unprotect or uffd-unregister, and ends "
      "the wait alone by uffd-wake; an 'exit' or a 'kill' ends it too\n");
}

}  // namespace
}  // namespace faultline
