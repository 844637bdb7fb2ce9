// Spans: runs of pages that the Program never tells apart.
//
// A page that a load, a store, an observe, a snapshot or a migration with an allocation that fails names is a span of its own. The pages between two such
// pages, which only appear as parts of ranges, make one span, however many they are. So the cost of a prediction
// depends on the operations of a Program, and a region can be as large as an address space.
//
// If mremap moves a range, its source and its target are cut at the same pages. So are a file and all regions that
// map it. If the Program may have huge pages, a span is either a part of one huge page or some whole huge pages.
#pragma once

#include <vector>

#include "harness/program.h"

namespace faultline {

class Spans {
 public:
  // Spans are numbered by region, then by page. A Program that exceeds limits::spans gives more spans than that limit,
  // but not necessarily all that it would need.
  explicit Spans(const Program& program);

  int count() const { return static_cast<int>(first_.size()); }
  int count(int region) const { return begin_[region + 1] - begin_[region]; }
  int of(Cell cell) const;  // the span that the cell's page is in
  int of(const PageRange& range) const { return of(Cell{range.region, range.first}); }
  int last_of(const PageRange& range) const { return of(Cell{range.region, range.first + range.count - 1}); }
  Cell first(int span) const { return first_[span]; }  // its first page

  int of_file(int file, int page) const { return in_file(file, page + 1) - 1; }  // the span of the file
  int in_file(int file, int pages) const;                                        // how many spans its first `pages` pages have

 private:
  std::vector<int> begin_;  // by region: its first span
  std::vector<Cell> first_;
  std::vector<std::vector<int>> file_;  // by file: pages at which a span begins
};

}  // namespace faultline
