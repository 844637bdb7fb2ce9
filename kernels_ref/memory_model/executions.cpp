#include "kernels_ref/memory_model/executions.h"

#include <algorithm>

namespace faultline::ref {

namespace {

using Kind = MemoryEvent::Kind;

bool irreflexive(const Relation& order) {
  for (std::size_t i = 0; i < order.size(); ++i)
    if (order[i][i]) return false;
  return true;
}

// Whether a map or an unmap covers the cell.
bool covers(const MemoryEvent& handover, int cell) { return handover.cell <= cell && cell <= handover.last; }

std::ptrdiff_t place_of(int write, const std::vector<int>& writes) { return std::ranges::find(writes, write) - writes.begin(); }

// Whether the write takes place depends on what is read.
bool may_fail(const MemoryEvent& write) { return write.read >= 0 && write.update.kind == op::Update::Kind::compare_exchange; }

// Goes back over at most so many writes: a longer way is a cycle.
std::optional<Written> written(const Events& events, int write, const std::vector<int>& reads_from, int steps) {
  int added = 0;
  for (; steps > 0; --steps) {
    const MemoryEvent& w = events.all[write];
    if (may_fail(w) &&
        written(events, reads_from[w.read], reads_from, steps - 1) != std::optional(Written{w.home, w.update.expected}))
      return std::nullopt;
    const bool adds = w.read >= 0 && w.update.kind == op::Update::Kind::add;
    if (w.from < 0 && !adds) return Written{w.home, w.value + added};
    added += adds ? w.value : 0;
    write = reads_from[adds ? w.read : w.from];
  }
  return std::nullopt;
}

class Search {
 public:
  Search(const Events& events, const Rules& dropped, const std::function<void(const std::vector<int>&)>& each,
         const std::function<bool(std::uint64_t)>& keep_going)
      : e_(events),
        dropped_(dropped),
        each_(each),
        keep_going_(keep_going),
        count_(static_cast<int>(events.all.size())),
        reads_from_(count_, -1),
        writes_(events.spans.count()),
        order_(writes_.size()) {
    for (int i = 0; i < count_; ++i) {
      if (at(i).kind == Kind::write) writes_[at(i).cell].push_back(i);
      if (at(i).kind == Kind::read) reads_.push_back(i);
      derived_ = derived_ || at(i).read >= 0 || at(i).from >= 0;
    }
  }

  Executions run() {
    choose_read(0);
    return std::move(result_);
  }

 private:
  const MemoryEvent& at(int event) const { return e_.all[event]; }
  bool on(Rule rule) const { return !dropped_[static_cast<int>(rule)]; }
  bool ended() const { return !result_.undefined.empty() || !result_.complete; }

  void choose_read(std::size_t index) {
    if (ended()) return;
    if (index == reads_.size()) return with_reads();
    const int read = reads_[index];
    for (const int write : writes_[at(read).cell]) {
      if (e_.before[read][write] || (on(Rule::memory_is_coherent) && overwritten(write, read))) continue;
      reads_from_[read] = write;
      choose_read(index + 1);
    }
  }

  // Whether another write lies between the two, whatever the values are.
  bool overwritten(int write, int read) const {
    return std::ranges::any_of(writes_[at(read).cell], [&](int other) {
      return !may_fail(at(other)) && e_.before[write][other] && e_.before[other][read];
    });
  }

  void with_reads() {
    constexpr std::uint64_t between_looks = 4096;
    if (++result_.candidates % between_looks == 0 && keep_going_ && !keep_going_(result_.candidates)) result_.complete = false;
    if (!find_written()) return;
    happens_before_ = e_.before;
    if (on(Rule::release_synchronises))
      for (const int read : reads_) synchronise(read);
    close(happens_before_);
    if (!irreflexive(happens_before_)) return;
    choose_order(0);
  }

  // Finds out which writes take place. False: a read reads from a write that does not, or a value would come from itself.
  bool find_written() {
    takes_place_.set();
    if (!derived_) return true;
    for (int i = 0; i < count_; ++i)
      if (at(i).kind == Kind::write) takes_place_[i] = written(e_, i, reads_from_).has_value();
    return std::ranges::all_of(reads_, [&](int read) { return takes_place_[reads_from_[read]]; });
  }

  // Orders the read behind the head of each release sequence that it reads from: a release, and the updates that
  // follow it. (In C11 and OpenCL the sequence also has later writes of the head's thread. In C++20 it has not, which
  // allows more.)
  void synchronise(int read) {
    const auto releases = [](Order o) { return o == Order::release || o == Order::seq_cst; };
    if (at(read).order != Order::acquire && at(read).order != Order::seq_cst) return;
    int write = reads_from_[read];
    for (int steps = 0; steps < count_; ++steps, write = reads_from_[at(write).read]) {  // updates may read in a circle here
      if (releases(at(write).order) && at(write).thread != at(read).thread) happens_before_[write].set(read);
      if (at(write).read < 0) return;
    }
  }

  // Tries orders of the writes to this cell and to the cells behind it. True: one gives a consistent execution.
  // That is enough, because another order of the same writes gives the same values.
  bool choose_order(std::size_t cell) {
    if (cell == writes_.size()) return consistent_execution();
    std::vector<int>& writes = order_[cell];
    writes.clear();
    std::ranges::copy_if(writes_[cell], std::back_inserter(writes), [&](int write) { return takes_place_[write]; });
    bool found = false;
    do {
      if (follows(writes) && coherent(writes) && atomic(writes)) found = choose_order(cell + 1);
    } while (!found && !ended() && std::next_permutation(writes.begin(), writes.end()));
    return found;
  }

  bool follows(const std::vector<int>& writes) const {
    for (std::size_t i = 0; i < writes.size(); ++i)
      for (std::size_t j = i + 1; j < writes.size(); ++j)
        if (happens_before_[writes[j]][writes[i]]) return false;
    return true;
  }

  // A read sees no write that is older than a write that happens before the read, or older than what an earlier read
  // saw. And a read sees only writes that are older than every write that happens after the read.
  bool coherent(const std::vector<int>& writes) const {
    if (!on(Rule::memory_is_coherent)) return true;
    const auto position = [&writes](int write) { return place_of(write, writes); };
    for (const int read : reads_) {
      if (at(read).cell != at(writes.front()).cell) continue;
      const auto seen = position(reads_from_[read]);
      for (std::size_t i = 0; i < writes.size(); ++i) {
        const auto index = static_cast<std::ptrdiff_t>(i);
        if (happens_before_[writes[i]][read] && index > seen) return false;
        if (happens_before_[read][writes[i]] && index <= seen) return false;
      }
      for (const int later : reads_)
        if (at(later).cell == at(read).cell && happens_before_[read][later] && position(reads_from_[later]) < seen) return false;
    }
    return true;
  }

  bool atomic(const std::vector<int>& writes) const {
    if (!on(Rule::updates_are_atomic)) return true;
    return std::ranges::all_of(writes, [&](int write) {
      return at(write).read < 0 || place_of(reads_from_[at(write).read], writes) + 1 == place_of(write, writes);
    });
  }

  bool consistent_execution() {
    if (on(Rule::seq_cst_has_one_order) && !sequential()) return false;
    ++result_.consistent;
    result_.undefined = undefined();
    each_(reads_from_);
    return true;
  }

  // RC11's psc without fences. It orders seq-cst accesses by what is sequenced, by what happens before (to the same
  // cell, or between accesses to other cells), by the order of writes, and puts reads before later writes.
  bool sequential() const {
    std::vector<int> sc;
    for (int i = 0; i < count_; ++i)
      if (at(i).order == Order::seq_cst && takes_place_[i]) sc.push_back(i);
    Relation psc(count_);
    for (const int a : sc)
      for (const int b : sc)
        if (a != b && (e_.sequenced[a][b] || same_cell_order(a, b) || around(a, b))) psc[a].set(b);
    close(psc);
    return irreflexive(psc);
  }

  bool same_cell_order(int a, int b) const {
    if (at(a).cell != at(b).cell) return false;
    if (happens_before_[a][b]) return true;
    if (at(b).kind != Kind::write) return false;
    const std::vector<int>& writes = order_[at(a).cell];
    return place_of(at(a).kind == Kind::write ? a : reads_from_[a], writes) < place_of(b, writes);
  }

  bool around(int a, int b) const {
    for (int c = 0; c < count_; ++c) {
      if (!e_.sequenced[a][c] || at(c).cell < 0 || at(c).cell == at(a).cell) continue;
      for (int d = 0; d < count_; ++d)
        if (happens_before_[c][d] && e_.sequenced[d][b] && at(d).cell >= 0 && at(d).cell != at(b).cell) return true;
    }
    return false;
  }

  // --- what the specification leaves undefined ---
  bool accesses(int i) const { return at(i).kind == Kind::read || (at(i).kind == Kind::write && takes_place_[i]); }
  bool ordered(int a, int b) const { return happens_before_[a][b] || happens_before_[b][a]; }

  std::string undefined() const {
    for (int a = 0; a < count_; ++a) {
      if (!accesses(a)) continue;
      for (int b = a + 1; b < count_; ++b)
        if (races(a, b))
          return "a data race on " + cell_name(at(a).cell) + " between '" + e_.name(a) + "' and '" + e_.name(b) + "'";
      if (std::string why = handed_over(a); !why.empty()) return why;
    }
    return {};
  }

  bool races(int a, int b) const {
    if (!accesses(b) || at(a).cell != at(b).cell || (at(a).kind == Kind::read && at(b).kind == Kind::read)) return false;
    const bool atomic = at(a).order != Order::plain && at(b).order != Order::plain;
    return !atomic && !ordered(a, b);
  }

  // A coarse-grained buffer belongs to the host from map to unmap, and to the device otherwise. For the start and
  // for observes the executor maps the buffer itself.
  std::string handed_over(int access) const {
    const MemoryEvent& a = at(access);
    if (!a.coarse || a.thread < 0) return {};
    bool mapped = false;
    for (int m = 0; m < count_; ++m) {
      if (at(m).kind != Kind::map || !covers(at(m), a.cell)) continue;
      const bool open = !unmapped(m, access) && !happens_before_[access][m];
      const bool conflicts = at(m).access.write || a.kind == Kind::write;
      if (a.device && open && conflicts)
        return "'" + e_.name(access) + "' on the device, while '" + e_.name(m) + "' has it for the host";
      const bool allows = a.kind == Kind::write ? at(m).access.write : at(m).access.read;
      mapped = mapped || (happens_before_[m][access] && open && allows && unmaps_after(m, access));
    }
    if (!a.device && !mapped) return "'" + e_.name(access) + "' on the host, without a map that allows it";
    return {};
  }

  // Whether the unmap that ends this map comes before the access.
  bool unmapped(int map, int access) const {
    for (int u = 0; u < count_; ++u)
      if (ends(u, map) && happens_before_[u][access]) return true;
    return false;
  }
  bool unmaps_after(int map, int access) const {
    for (int u = 0; u < count_; ++u)
      if (ends(u, map) && !ordered(u, access)) return false;
    return true;
  }
  bool ends(int unmap, int map) const {
    return at(unmap).kind == Kind::unmap && at(unmap).cell == at(map).cell && happens_before_[map][unmap];
  }

  std::string cell_name(int span) const {
    const Cell cell = e_.spans.first(span);
    return e_.program.regions[cell.region].name + "[" + std::to_string(cell.page) + "]";
  }

  const Events& e_;
  const Rules dropped_;
  const std::function<void(const std::vector<int>&)>& each_;
  const std::function<bool(std::uint64_t)>& keep_going_;
  const int count_;
  std::vector<int> reads_;
  std::vector<int> reads_from_;
  std::vector<std::vector<int>> writes_;  // by cell
  std::vector<std::vector<int>> order_;   // by cell: those that take place, in the order that is tried
  EventSet takes_place_;
  bool derived_ = false;  // some write depends on what is read
  Relation happens_before_;
  Executions result_;
};

}  // namespace

std::optional<Written> written(const Events& events, int write, const std::vector<int>& reads_from) {
  return written(events, write, reads_from, static_cast<int>(events.all.size()));
}

Executions explore(const Events& events, const Rules& dropped, const std::function<void(const std::vector<int>&)>& each,
                   const std::function<bool(std::uint64_t)>& keep_going) {
  return Search(events, dropped, each, keep_going).run();
}

}  // namespace faultline::ref
