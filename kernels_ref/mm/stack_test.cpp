// Mappings that grow down: which access extends one, how far, and who else sees it.
#include <gtest/gtest.h>

#include <string>

#include "harness/language/parser.h"
#include "kernels_ref/predict.h"

namespace faultline {
namespace {

// The one outcome of the statements, as "key=text" of the results that have names.
std::string outcome(const std::string& regions, const std::string& statements, DeviceClass device_class) {
  const std::string head = "scenario t\n  \"test\"\ndevice d: recoverable\nprocess P\n";
  const Allowed allowed = predict(parse(head + regions + statements, "test"), {.device_class = device_class, .dropped = {}});
  EXPECT_TRUE(allowed.complete && allowed.findings.empty());
  EXPECT_EQ(allowed.outcomes.size(), 1u);
  std::string text;
  for (std::size_t i = 0; i < allowed.schema.size(); ++i) {
    const std::string& key = allowed.schema[i].key;
    if (key.find('#') != std::string::npos) continue;
    text += (text.empty() ? "" : " ") + key.substr(2) + "=" + allowed.outcomes.at(0)[i];
  }
  return text;
}

std::string outcome(const std::string& regions, const std::string& statements) {
  return outcome(regions, statements, DeviceClass::shares_cpu_tables);
}

TEST(Stack, GrowsToThePageThatIsAccessedAndNoFurther) {
  EXPECT_EQ(outcome("a: 4 pages stack rw = 5\n",
                    "munmap a[0..2]\nr = load a[1]\ne0 = madvise a[1..2] dontneed\n"
                    "e1 = madvise a[0..2] dontneed\n"),
            "r=zero e0=ok e1=ENOMEM");
}

TEST(Stack, OthersDoNotGrow) { EXPECT_EQ(outcome("a: 2 pages anon rw = 5\n", "munmap a[0]\nr = load a[0]\n"), "r=SIGSEGV"); }

// acct_stack_growth: RLIMIT_STACK is for the whole mapping, 2,048 pages.
TEST(Stack, GrowsToItsLimit) {
  const char* const region = "a: 2100 pages stack rw\n";
  EXPECT_EQ(outcome(region, "munmap a[0..2098]\nr0 = load a[51]\nr1 = load a[52]\nr2 = load a[51]\n"),
            "r0=SIGSEGV r1=zero r2=SIGSEGV");
}

// acct_stack_growth refuses only after anon_vma_prepare(). So fork() copies the page tables, and the device is notified.
TEST(Stack, WhereItMayNotGrowItHasAnAnonVma) {
  const char* const region = "a: 2100 pages stack rw\n";
  const std::string device = "r0 = load a[2099] via d\n", fork = "fork C\nr2 = load a[2099] via d\n";
  const std::string child = "process C\n s = load a[2099]\n";
  const auto seen = [&](const std::string& access) {
    return outcome(region, "munmap a[0..2098]\n" + device + access + fork + child, DeviceClass::recoverable);
  };
  EXPECT_EQ(seen(""), "r0=zero r0.faults=fault r2=zero r2.faults=hit s=zero");
  EXPECT_EQ(seen("r1 = load a[0]\n"), "r0=zero r0.faults=fault r1=SIGSEGV r2=zero r2.faults=fault s=zero");
}

TEST(Stack, IsNotReachedFromTheNextRegion) {
  EXPECT_EQ(outcome("a: 2 pages none\nb: 2 pages stack rw = 5\n", "r0 = load a[1]\nr1 = load b[0]\n"), "r0=SIGSEGV r1=5");
}

// An access that the protection refuses still extends the stack.
TEST(Stack, APageThatItGrewByIsLikeItsLowest) {
  EXPECT_EQ(outcome("a: 3 pages stack rw = 5\n",
                    "munmap a[0]\nmprotect a[1] r\ne0 = store a[0] 6\ne1 = store a[2] 7\nr = load a[0]\n"
                    "mprotect a[0..1] rw\ne2 = store a[0] 8\n"),
            "e0=SIGSEGV e1=ok r=zero e2=ok");
}

// The stack is still one mapping: mremap() of more than one would behave differently on some kernels.
TEST(Stack, GrowsWhereItWasMovedTo) {
  EXPECT_EQ(outcome("a: 2 pages stack rw = 5\nb: 4 pages none\nc: 4 pages none\n",
                    "mremap a[0] -> b[3]\nr0 = load b[0]\nr1 = load b[3]\ne = mremap b -> c\nr2 = load c[3]\n"),
            "r0=zero r1=5@a[0] e=ok r2=5@a[0]");
}

}  // namespace
}  // namespace faultline
