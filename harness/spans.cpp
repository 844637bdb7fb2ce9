#include "harness/spans.h"

#include <algorithm>
#include <set>

#include "harness/queries.h"

namespace faultline {
namespace {

class Cuts {
 public:
  explicit Cuts(const Program& program) : program_(program), at_(program.regions.size() + program.files.size()) {
    for (auto& cuts : at_) cuts.insert(0);
    for (std::size_t file = 0; file < program.files.size(); ++file)
      cut(of_file(static_cast<int>(file)), program.files[file].pages);
    for (std::size_t region = 0; region < program.regions.size(); ++region)
      maps(static_cast<int>(region), program.regions[region].file);
    for (const Thread& thread : program.threads)
      for (const Statement& statement : thread.statements)
        std::visit([this](const auto& operation) { add(operation); }, statement.operation);
    for (const Observe& observe : program.observes) {
      cell(observe.cell);
      if (observe.kind == Observe::Kind::same) cell(observe.cell2);
    }
    while (carry_through_moves() || cut_huge_pages()) {}
  }

  const std::set<int>& of(int region) const { return at_[region]; }
  // A file is cut like one more region. A mapping of the file counts as a move from the mapping region into it.
  int of_file(int file) const { return static_cast<int>(program_.regions.size()) + file; }

 private:
  void maps(int region, int file) {
    if (file >= 0) moves_.push_back({{region, 0, program_.regions[region].pages}, {of_file(file), 0}});
  }
  void add(const op::Mmap& o) {
    range(o.range);
    maps(o.range.region, o.file);
  }
  void add(const op::Truncate& o) { cut(of_file(o.file), o.pages); }
  void add(const op::Mremap& o) {
    range(o.range);
    range({o.to.region, o.to.page, o.range.count});
    moves_.push_back(o);
  }
  void add(const op::Snapshot& o) { each_page(o.range); }
  void add(const op::Migrate& o) {
    if (o.fail > 0) each_page(o.range);
    else range(o.range);
  }
  template <typename Operation>
  void add(const Operation& o) {
    for (const PageRange& pages : pages_of(o)) range(pages);
  }

  void cell(Cell c) { range({c.region, c.page, 1}); }
  void each_page(const PageRange& r) {
    for (int page = 0; page < r.count; ++page) cell({r.region, r.first + page});
  }
  void range(const PageRange& r) {
    cut(r.region, r.first);
    cut(r.region, r.first + r.count);
  }
  bool cut(int region, int page) {
    const bool file = region >= of_file(0);
    return (file || page < program_.regions[region].pages) && at_[region].insert(page).second;
  }

  // Copies the cuts across every move once; true if that made a new cut and no limit was passed. The limit matters
  // because overlapping moves could cut at every page.
  bool carry_through_moves() {
    bool more = false;
    for (const op::Mremap& move : moves_) {
      more = carry(move.range, move.to) || more;
      more = carry({move.to.region, move.to.page, move.range.count}, {move.range.region, move.range.first}) || more;
    }
    const auto too_many = [](const std::set<int>& cuts) { return cuts.size() > limits::spans; };
    return more && std::ranges::none_of(at_, too_many);
  }
  // The kernel makes and maps a huge page as a whole. So a span lies within one huge page, or consists of whole ones.
  bool cut_huge_pages() {
    bool more = false;
    for (int each = 0; each < static_cast<int>(at_.size()) && may_have_huge_pages(program_); ++each) {
      const std::vector<int> cuts(at_[each].begin(), at_[each].end());
      for (const int page : cuts)
        for (const int end : {page / huge_pages * huge_pages, (page + huge_pages - 1) / huge_pages * huge_pages})
          more = cut(each, end) || more;
    }
    return more;
  }
  bool carry(const PageRange& from, Cell to) {
    bool more = false;
    const std::vector<int> cuts(at_[from.region].begin(), at_[from.region].end());
    for (const int page : cuts)
      if (page > from.first && page < from.first + from.count) more = cut(to.region, to.page + page - from.first) || more;
    return more;
  }

  const Program& program_;
  std::vector<std::set<int>> at_;  // by region: pages at which a span begins
  std::vector<op::Mremap> moves_;
};

}  // namespace

Spans::Spans(const Program& program) {
  const Cuts cuts(program);
  for (int region = 0; region < static_cast<int>(program.regions.size()); ++region) {
    begin_.push_back(count());
    for (const int page : cuts.of(region)) first_.push_back({region, page});
  }
  begin_.push_back(count());
  for (int file = 0; file < static_cast<int>(program.files.size()); ++file) {
    const std::set<int>& pages = cuts.of(cuts.of_file(file));
    file_.emplace_back(pages.begin(), pages.end());
  }
}

int Spans::in_file(int file, int pages) const {
  const std::vector<int>& begins = file_[file];
  return static_cast<int>(std::lower_bound(begins.begin(), begins.end(), pages) - begins.begin());
}

int Spans::of(Cell cell) const {
  const auto begin = first_.begin() + begin_[cell.region], end = first_.begin() + begin_[cell.region + 1];
  const auto after = std::upper_bound(begin, end, cell.page, [](int page, const Cell& c) { return page < c.page; });
  return static_cast<int>(after - first_.begin()) - 1;
}

}  // namespace faultline
