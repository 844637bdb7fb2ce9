// Which pages get a span of their own, and that predictions do not depend on the length of the other spans.
#include "harness/spans.h"

#include <gtest/gtest.h>

#include "harness/language/parser.h"

namespace faultline {
namespace {

// The first pages of the spans of one region.
std::vector<int> spans(const Program& program, int region) {
  const Spans all(program);
  std::vector<int> pages;
  for (int s = 0; s < all.count(); ++s)
    if (all.first(s).region == region) pages.push_back(all.first(s).page);
  EXPECT_EQ(all.count(region), static_cast<int>(pages.size()));
  return pages;
}

Program program(const std::string& statements) {
  return parse(
      "scenario s\n  \"text\"\ndevice d: recoverable\nprocess P\n  a: 1000 pages anon rw\n"
      "  b: 268435456 pages anon rw\n" +
          statements,
      "test");
}

using Pages = std::vector<int>;

TEST(Spans, ARegionThatOnlyRangesNameIsOne) { EXPECT_EQ(spans(program("  munmap a\n"), 0), Pages{0}); }

TEST(Spans, ACellIsOneOfItsOwn) {
  EXPECT_EQ(spans(program("  store a[7] 1\n"), 0), (Pages{0, 7, 8}));
  EXPECT_EQ(spans(program("  store a[999] 1\n  store a[0] 1\n"), 0), (Pages{0, 1, 999}));
  EXPECT_EQ(spans(program("  munmap a\nobserve P:a[5]\n"), 0), (Pages{0, 5, 6}));
}

TEST(Spans, ARangeCutsAtBothEnds) { EXPECT_EQ(spans(program("  munmap a[10..19]\n"), 0), (Pages{0, 10, 20})); }

TEST(Spans, ASnapshotShowsEveryPage) { EXPECT_EQ(spans(program("  s0 = snapshot a[2..4] via d\n"), 0), (Pages{0, 2, 3, 4, 5})); }

TEST(Spans, AMoveCutsBothSidesAlike) {
  const Program p = program("  mremap a[10..19] -> b[100]\n  load b[105]\n  munmap a[12..13]\n");
  EXPECT_EQ(spans(p, 0), (Pages{0, 10, 12, 14, 15, 16, 20}));
  EXPECT_EQ(spans(p, 1), (Pages{0, 100, 102, 104, 105, 106, 110}));
}

TEST(Spans, OfGivesTheSpanThatAPageIsIn) {
  const Program p = program("  munmap a[10..19]\n  store b[3] 1\n");
  const Spans s(p);
  EXPECT_EQ(s.of(Cell{0, 9}), 0);
  EXPECT_EQ(s.of(Cell{0, 10}), 1);
  EXPECT_EQ(s.last_of(PageRange{0, 10, 10}), 1);
  EXPECT_EQ(s.of(Cell{0, 999}), 2);
  EXPECT_EQ(s.of(Cell{1, 2}), 3);
  EXPECT_EQ(s.of(Cell{1, 268'435'455}), 5);
  EXPECT_EQ(s.first(5), (Cell{1, 4}));
}

TEST(Spans, AHugePageIsWhole) {
  EXPECT_EQ(spans(program("  madvise b hugepage\n  store b[1030] 1\n"), 1), (Pages{0, 1024, 1030, 1031, 1536}));
  EXPECT_EQ(spans(program("  madvise b hugepage\n  store b[1030] 1\n  store a[3] 1\n"), 0), (Pages{0, 3, 4, 512}));
  EXPECT_EQ(spans(program("  madvise b collapse\n  munmap b[512..2047]\n"), 1), (Pages{0, 512, 2048}));
  EXPECT_EQ(spans(program("  store b[1030] 1\n"), 1), (Pages{0, 1030, 1031}));
}

TEST(Spans, AFileAndWhatMapsItAreCutAlike) {
  const Program p = parse(
      "scenario s\nprocess P\n  file f: 20 pages\n  a: 30 pages shared f rw\n  b: 10 pages private f rw\n"
      "  c: 9 pages none\n  load a[2]\n  mmap c[4] private f r\n  truncate f 6\n",
      "test");
  EXPECT_EQ(spans(p, 0), (Pages{0, 2, 3, 4, 5, 6, 20}));
  EXPECT_EQ(spans(p, 1), (Pages{0, 2, 3, 4, 5, 6}));
  EXPECT_EQ(spans(p, 2), (Pages{0, 2, 3, 4, 5, 6}));
  const Spans s(p);
  EXPECT_EQ(s.in_file(0, 0), 0);
  EXPECT_EQ(s.in_file(0, 6), 5);
  EXPECT_EQ(s.in_file(0, 20), 6);
  EXPECT_EQ(s.of_file(0, 2), 1);
  EXPECT_EQ(s.of_file(0, 19), 5);
  EXPECT_EQ(s.of_file(0, 25), 6);
}

}  // namespace
}  // namespace faultline
