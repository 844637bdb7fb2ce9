// Spans: the pages of a Program that nothing in it tells apart.
//
// A page that a load, a store, an observe or a snapshot names is a span of its own; what lies between, and
// is only ever part of ranges, is one span however long it is. So what a Program costs to predict follows
// from its operations, and a region can be as large as an address space. Where mremap moves a range, source
// and target are cut at the same pages; so are all regions that map one file, and the file. Where there may be huge
// pages, a span is a part of one, or some whole ones.
#pragma once

#include <vector>

#include "harness/program.h"

namespace faultline {

class Spans {
 public:
  // Numbered by region, then by page. A Program that needs more than the limits allow gives some more than
  // these, not all that it would need.
  explicit Spans(const Program& program);

  int count() const { return static_cast<int>(first_.size()); }
  int count(int region) const { return begin_[region + 1] - begin_[region]; }
  int of(Cell cell) const;  // the span that the cell's page is in
  int of(const PageRange& range) const { return of(Cell{range.region, range.first}); }
  int last_of(const PageRange& range) const { return of(Cell{range.region, range.first + range.count - 1}); }
  Cell first(int span) const { return first_[span]; }  // its first page

  int of_file(int file, int page) const { return in_file(file, page + 1) - 1; }  // the span of the file
  int in_file(int file, int pages) const;                                        // how many spans its first so many pages are

 private:
  std::vector<int> begin_;  // by region: its first span
  std::vector<Cell> first_;
  std::vector<std::vector<int>> file_;  // by file: pages with which a span begins
};

}  // namespace faultline
