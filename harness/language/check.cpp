#include "harness/language/check.h"

#include <variant>
#include <vector>

#include "harness/language/waits.h"
#include "harness/queries.h"
#include "harness/spans.h"

namespace faultline {
namespace {

// What a statement of any kind refers to.
struct Uses {
  std::vector<int> regions;
  Via via;
  int file = -1;
};

template <typename Op>
Uses uses_of(const Op& o) {
  Uses uses;
  for (const PageRange& pages : pages_of(o)) uses.regions.push_back(pages.region);
  if constexpr (requires { o.via; }) uses.via = o.via;
  if constexpr (requires { o.file; }) uses.file = o.file;
  return uses;
}

bool self_or_ancestor(const Program& program, int ancestor, int process) {
  for (int at = process; at >= 0; at = program.processes[at].parent) {
    if (at == ancestor) return true;
  }
  return false;
}

class Checker {
 public:
  Checker(const Program& program, const Source& source) : program_(program), source_(source) {}

  void run() const {
    for (const Process& process : program_.processes) check_process(process);
    for (const File& file : program_.files) check_owner("file", file);
    for (const Region& region : program_.regions) {
      check_owner("region", region);
      if (region.file >= 0) check_file_use(region.file, region.owner, region.place);
      if (region.file >= 0 && region.initial) check_has_pages(region);
    }
    for (const Thread& thread : program_.threads) check_thread(thread);
    if (is_about_memory_model(program_)) check_memory_model();
    if (any_operation(program_, is_uffd)) check_userfaults();
    for (const Device& device : program_.devices)
      if (device.device_class != program_.devices[0].device_class)
        source_.fail_at(device.place, device.name, "all devices of a scenario are of one class");
    if (program_.threads.empty()) source_.fail({}, 1, "a scenario has at least one thread");
    if (program_.threads.size() > limits::threads) {
      source_.fail_at(program_.threads[limits::threads].place, program_.threads[limits::threads].name,
                      "too many threads: the limit is " + std::to_string(limits::threads));
    }
    if (const std::vector<Waiting> waiting = wait_for_ever(program_); !waiting.empty())
      throw ParseError(endless_wait(program_, source_, waiting, true));
  }

  void check_spans() const {
    const Spans spans(program_);
    int all = 0;
    for (const Region& region : program_.regions) {
      const int own = spans.count(static_cast<int>(&region - program_.regions.data()));
      all += own;
      if (own > limits::spans_per_region) too_many_spans(region, "in '" + region.name + "'", limits::spans_per_region);
      if (all > limits::spans) too_many_spans(region, "in all regions together", limits::spans);
    }
    for (const File& file : program_.files)
      if (spans.in_file(static_cast<int>(&file - program_.files.data()), limits::pages_per_region) > limits::spans_per_region)
        too_many_spans(file, "in '" + file.name + "'", limits::spans_per_region);
  }

 private:
  const std::string& name(int process) const { return program_.processes[process].name; }

  void check_process(const Process& process) const {
    const int index = static_cast<int>(&process - program_.processes.data());
    if (root_of(program_, index) >= 0) return check_used(process, index);
    source_.fail_at(
        process.place, process.name,
        "process '" + process.name + "' never starts: it is forked by '" + name(process.parent) + "', which its own tree forks");
  }

  void check_used(const Process& process, int index) const {
    if (process.parent >= 0) return;
    for (const Region& region : program_.regions) {
      if (region.owner == index) return;
    }
    for (const Thread& thread : program_.threads) {
      if (thread.process == index) return;
    }
    source_.fail_at(process.place, process.name,
                    "process '" + process.name + "' does nothing: nothing forks it, and it has no thread and no region");
  }

  template <typename Owned>
  void check_owner(const std::string& what, const Owned& owned) const {
    const Process& owner = program_.processes[owned.owner];
    if (owner.parent < 0) return;
    source_.fail_at(owned.place, owned.name,
                    "process '" + owner.name + "' is forked by '" + name(owner.parent) + "': it has the " + what + "s of '" +
                        name(root_of(program_, owned.owner)) + "' and declares none");
  }

  void check_file_use(int index, int process, Place place) const {
    const File& file = program_.files[index];
    if (root_of(program_, process) == file.owner) return;
    source_.fail_at(
        place, file.name,
        "file '" + file.name + "' belongs to '" + name(file.owner) + "', from which '" + name(process) + "' does not descend");
  }

  void check_has_pages(const Region& region) const {
    const File& file = program_.files[region.file];
    if (region.pages <= file.pages) return;
    source_.fail_at(region.place, region.name,
                    "region '" + region.name + "' has a value in " + std::to_string(region.pages) + " pages, and its file '" +
                        file.name + "' has " + std::to_string(file.pages));
  }

  // A scenario about the memory model may contain only permanent memory and accesses to it.
  void check_memory_model() const {
    for (const Region& region : program_.regions)
      if (!region.initial || !region.protection.read || !region.protection.write || region.file >= 0)
        source_.fail_at(
            region.place, region.name,
            "in a scenario with buffers, their commands or atomic accesses, regions are readable, writable and populated: "
            "'anon rw = 0'");
    for (const Region& region : program_.regions)
      if (is_buffer(region.backing) && program_.devices.empty())
        source_.fail_at(region.place, region.name, "a buffer is a device's: 'device d: fatal-faults' above the processes");
    if (program_.devices.size() > 1)
      source_.fail_at(program_.devices[1].place, program_.devices[1].name, "buffers belong to one device");
    check_sum();
    for (const Thread& thread : program_.threads)
      for (const Statement& statement : thread.statements)
        std::visit([&](const auto& operation) { check_in_memory_model(statement, operation); }, statement.operation);
  }

  // The model of userfaultfd knows private anonymous memory.
  void check_userfaults() const {
    const auto wrong = [](Backing backing) { return backing != Backing::anon_private && backing != Backing::none; };
    const std::string only = "in a scenario with userfaultfd, all memory is 'anon' or 'none'";
    for (const Region& region : program_.regions)
      if (wrong(region.backing)) source_.fail_at(region.place, region.name, only);
    for (const Thread& thread : program_.threads)
      for (const Statement& statement : thread.statements)
        if (const auto* map = std::get_if<op::Mmap>(&statement.operation); map && wrong(map->backing))
          source_.fail_at(statement.place, program_.regions[map->range.region].name, only);
  }

  void check_sum() const {
    int sum = 0;
    for (const Thread& thread : program_.threads)
      for (const Statement& statement : thread.statements) {
        const auto* update = std::get_if<op::Update>(&statement.operation);
        if (!update || update->kind != op::Update::Kind::add) continue;
        sum += update->value;
        if (sum > limits::added)
          source_.fail(statement.place, 1,
                       "too much is added: at most " + std::to_string(limits::added) + " by all threads together");
      }
  }

  void check_in_memory_model(const Statement& statement, const op::Load& load) const { check_order(statement, load); }
  void check_in_memory_model(const Statement& statement, const op::Store& store) const { check_order(statement, store); }
  void check_in_memory_model(const Statement& statement, const op::Update& update) const { check_order(statement, update); }
  void check_in_memory_model(const Statement&, const op::Barrier&) const {}
  void check_in_memory_model(const Statement&, const op::Delay&) const {}
  void check_in_memory_model(const Statement& statement, const op::SvmMap& map) const {
    check_mappable(statement, map.range.region);
  }
  void check_in_memory_model(const Statement& statement, const op::SvmUnmap& unmap) const {
    check_mappable(statement, unmap.range.region);
  }
  void check_in_memory_model(const Statement& statement, const op::Migrate& migrate) const {
    const Region& region = check_buffer(statement, migrate.range.region);
    if (migrate.fail > 0) source_.fail_at(statement.place, "fail", "the driver of a buffer decides what it allocates");
    if (region.backing == Backing::usm_host || region.backing == Backing::usm_device)
      source_.fail_at(statement.place, region.name, "'" + region.name + "' stays where it is: of USM, only usm-shared migrates");
  }
  void check_in_memory_model(const Statement& statement, const op::SvmCopy& copy) const {
    const Region &from = program_.regions[copy.from.region], &to = program_.regions[copy.to.region];
    if (!one_command_reaches(from.backing, to.backing))
      source_.fail_at(statement.place, to.name,
                      "no command copies between '" + from.name + "' and '" + to.name + "', which are of different kinds");
  }
  void check_in_memory_model(const Statement&, const op::SvmFill&) const {}
  template <typename Other>
  void check_in_memory_model(const Statement& statement, const Other&) const {
    source_.fail(statement.place, 1,
                 "in a scenario with buffers, their commands or atomic accesses, nothing may change mappings or processes");
  }

  template <typename Access>
  void check_order(const Statement& statement, const Access& access) const {
    const Region& region = program_.regions[access.cell.region];
    if (region.backing == Backing::usm_device && access.via.cpu())
      source_.fail_at(statement.place, region.name,
                      "'" + region.name + "' is for the device alone: the host reaches it by svm-copy and svm-fill");
    if (access.order == Order::plain || !is_handed_over(region.backing)) return;
    source_.fail(statement.place, 1,
                 "atomic accesses need memory that both sides use at once: svm-fine, usm-host, usm-shared, or any pages");
  }

  const Region& check_buffer(const Statement& statement, int index) const {
    const Region& region = program_.regions[index];
    if (!is_buffer(region.backing)) source_.fail_at(statement.place, region.name, "'" + region.name + "' is no buffer");
    return region;
  }

  void check_mappable(const Statement& statement, int index) const {
    const Region& region = check_buffer(statement, index);
    if (is_usm(region.backing))
      source_.fail_at(
          statement.place, region.name,
          "'" + region.name + "' is USM, which is never mapped: " +
              (region.backing == Backing::usm_device ? "it is for the device alone" : "the host reaches it as it is"));
  }

  // clEnqueueSVMMemcpy and clEnqueueMemcpyINTEL accept host memory too; clEnqueueCopyBuffer does not.
  static bool one_command_reaches(Backing from, Backing to) {
    const auto addressed = [](Backing b) { return b == Backing::device_address; };
    if (addressed(from) || addressed(to)) return addressed(from) && addressed(to);
    return !is_buffer(from) || !is_buffer(to) || is_usm(from) == is_usm(to);
  }

  template <typename Owned>
  void too_many_spans(const Owned& owned, const std::string& where, int limit) const {
    source_.fail_at(owned.place, owned.name,
                    "too many pages and ranges that statements tell apart " + where + ": the limit is " + std::to_string(limit));
  }

  void check_thread(const Thread& thread) const {
    if (!thread.via.cpu()) check_via(thread.via, thread.process, thread.place);
    const Statement* exit = nullptr;
    for (const Statement& statement : thread.statements) {
      if (exit) {
        source_.fail(statement.place, 1,
                     "never reached: thread '" + thread.name + "' exits on line " + std::to_string(exit->place.line));
      }
      if (std::holds_alternative<op::Exit>(statement.operation)) exit = &statement;
      check_statement(statement, thread);
    }
  }

  void check_statement(const Statement& statement, const Thread& thread) const {
    const Uses uses = std::visit([](const auto& o) { return uses_of(o); }, statement.operation);
    for (const int index : uses.regions) check_region_use(program_.regions[index], thread.process, statement.place);
    if (uses.file >= 0) check_file_use(uses.file, thread.process, statement.place);
    if (!uses.via.cpu() && uses.via != thread.via) check_via(uses.via, thread.process, statement.place);
    const auto* wait = std::get_if<op::Wait>(&statement.operation);
    if (wait && program_.processes[wait->process].parent != thread.process) {
      source_.fail_at(statement.place, name(wait->process),
                      "wait is for children: '" + name(wait->process) + "' is not forked by '" + name(thread.process) + "'");
    }
  }

  void check_region_use(const Region& region, int process, Place place) const {
    if (root_of(program_, process) == region.owner) return;
    const bool forgotten = root_of(program_, process) == process;
    source_.fail_at(place, region.name,
                    "region '" + region.name + "' belongs to '" + name(region.owner) + "', from which '" + name(process) +
                        "' does not descend",
                    forgotten ? "nothing forks '" + name(process) + "'" : "");
  }

  void check_via(const Via& via, int process, Place place) const {
    if (self_or_ancestor(program_, via.opener, process)) return;
    source_.fail_at(
        place, name(via.opener) + "." + program_.devices[via.device].name,
        "'" + name(process) + "' cannot have the descriptor of '" + name(via.opener) + "': descriptors are inherited by fork");
  }

  const Program& program_;
  const Source& source_;
};

}  // namespace

int root_of(const Program& program, int process) {
  int at = process;
  for (std::size_t i = 0; i < program.processes.size(); i++) {
    const int parent = program.processes[at].parent;
    if (parent < 0) return at;
    at = parent;
  }
  return -1;
}

void check(const Program& program, const Source& source) { Checker(program, source).run(); }

void check_spans(const Program& program, const Source& source) { Checker(program, source).check_spans(); }

}  // namespace faultline
