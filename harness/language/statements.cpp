#include "harness/language/statements.h"

#include <algorithm>
#include <utility>

#include "harness/language/names.h"
#include "harness/outcome.h"

namespace faultline {
namespace {

// Each operation has its line in the grammar. Updates have three words, exclusive accesses and write protection two.
static_assert(grammar::verbs.size() == std::variant_size_v<Operation> + 4);

class Reader : Names {
 public:
  Reader(Program& program, const Source& source, int thread) : Names(program, source), thread_(program.threads[thread]) {}

  void run(const Node& line) {
    Statement statement;
    statement.place = place_of(line);
    const Node* name = find<grammar::new_result>(line);
    if (name) statement.name = result_name(*name);
    const Node& operation = *line.children.back();
    visit(grammar::operation::subs_t{}, operation, [&](auto rule) { statement.operation = read(rule, operation); });
    const bool barrier = std::holds_alternative<op::Barrier>(statement.operation);
    if (name && (barrier || std::holds_alternative<op::Delay>(statement.operation))) {
      fail(*name, std::string(barrier ? "a barrier" : "a delay") + " has no result to name");
    }
    thread_.statements.push_back(std::move(statement));
  }

 private:
  std::string result_name(const Node& node) const {
    const std::string name = new_name(node);
    if (find_named(thread_.statements, name) >= 0) {
      fail(node, "a second result " + shown(name) + " in thread '" + thread_.name + "'");
    }
    return name;
  }

  PageRange range_of(const Node& operation) const { return range(get<grammar::range>(operation)); }
  int process_of(const Node& operation) const { return process(get<grammar::process_name>(operation)); }

  Operation read(grammar::load, const Node& operation) const {
    return op::Load{cell(get<grammar::cell>(operation)), access_via(operation), order(operation, Order::release)};
  }

  Operation read(grammar::store, const Node& operation) const {
    return op::Store{cell(get<grammar::cell>(operation)), value(get<grammar::value>(operation)), access_via(operation),
                     order(operation, Order::acquire)};
  }

  Operation read(grammar::exchange, const Node& operation) const {
    return update(operation, op::Update::Kind::exchange, value(get<grammar::value>(operation)));
  }

  Operation read(grammar::add, const Node& operation) const {
    return update(operation, op::Update::Kind::add, number(get<grammar::amount>(operation), "amount", limits::added));
  }

  Operation read(grammar::compare_exchange, const Node& operation) const {
    op::Update result = update(operation, op::Update::Kind::compare_exchange, value(get<grammar::value>(operation)));
    result.expected = value(get<grammar::expected_value>(operation));
    return result;
  }

  op::Update update(const Node& operation, op::Update::Kind kind, int value) const {
    return {.cell = cell(get<grammar::cell>(operation)),
            .kind = kind,
            .value = value,
            .via = access_via(operation),
            .order = closed<grammar::order>(operation)};
  }

  // `impossible`: the order that this access cannot have.
  Order order(const Node& operation, Order impossible) const {
    const Node* node = find<grammar::order>(operation);
    if (!node) return Order::plain;
    const Order result = closed<grammar::order>(operation);
    if (result == impossible || result == Order::acq_rel)
      fail(*node, impossible == Order::release ? "a load releases nothing: relaxed, acquire or seq-cst"
                                               : "a store acquires nothing: relaxed, release or seq-cst");
    return result;
  }

  Operation read(grammar::svm_map, const Node& operation) const {
    const Protection access = closed<grammar::protection>(operation);
    if (!access.read && !access.write)
      fail(get<grammar::protection>(operation), "a map is for reading, writing or both: r, w or rw");
    return op::SvmMap{range_of(operation), access, request_via(operation, -1, "svm-map")};
  }

  Operation read(grammar::svm_unmap, const Node& operation) const {
    return op::SvmUnmap{range_of(operation), request_via(operation, -1, "svm-unmap")};
  }

  // Two different cells never overlap, so only a copy of a cell to itself is an error.
  Operation read(grammar::svm_copy, const Node& operation) const {
    const Node& to = get<grammar::cell>(operation);
    const op::SvmCopy copy{cell(get<grammar::source>(operation)), cell(to), request_via(operation, -1, "svm-copy")};
    if (copy.from == copy.to)
      fail(to, "a copy of " + cell_text(program_, copy.to) + " to itself is an error of OpenCL's (CL_MEM_COPY_OVERLAP)",
           "name another cell, in this region or another one");
    return copy;
  }

  Operation read(grammar::svm_fill, const Node& operation) const {
    return op::SvmFill{cell(get<grammar::cell>(operation)), value(get<grammar::value>(operation)),
                       request_via(operation, -1, "svm-fill")};
  }

  Operation read(grammar::direct_read, const Node& operation) const {
    return op::DirectRead{cell(get<grammar::cell>(operation)), value(get<grammar::value>(operation))};
  }

  Operation read(grammar::direct_write, const Node& operation) const {
    return op::DirectWrite{cell(get<grammar::cell>(operation))};
  }

  Operation read(grammar::uffd_register, const Node& operation) const {
    return op::UffdRegister{range_of(operation), closed<grammar::uffd_mode>(operation)};
  }
  Operation read(grammar::uffd_unregister, const Node& operation) const { return op::UffdUnregister{range_of(operation)}; }
  Operation read(grammar::uffd_copy, const Node& operation) const {
    return op::UffdCopy{cell(get<grammar::cell>(operation)), value(get<grammar::value>(operation))};
  }
  Operation read(grammar::uffd_zero, const Node& operation) const { return op::UffdZero{range_of(operation)}; }
  Operation read(grammar::uffd_protect, const Node& operation) const { return op::UffdProtect{range_of(operation), true}; }
  Operation read(grammar::uffd_unprotect, const Node& operation) const { return op::UffdProtect{range_of(operation), false}; }
  Operation read(grammar::uffd_wake, const Node& operation) const { return op::UffdWake{range_of(operation)}; }

  Operation read(grammar::mmap, const Node& operation) const {
    const auto [backing, file] = backed(operation, closed<grammar::mapped_backing>(operation));
    return op::Mmap{range_of(operation), backing, closed<grammar::protection>(operation), file};
  }

  Operation read(grammar::munmap, const Node& operation) const { return op::Munmap{range_of(operation)}; }

  Operation read(grammar::mprotect, const Node& operation) const {
    return op::Mprotect{range_of(operation), closed<grammar::protection>(operation)};
  }

  Operation read(grammar::mremap, const Node& operation) const {
    const PageRange from = range_of(operation);
    const Node& to = get<grammar::target>(operation);
    const PageRange target = range(to);
    const Region& region = program_.regions[target.region];
    if (target.first + from.count > region.pages) {
      fail_start(source_, to,
                 "impossible address: " + std::to_string(from.count) + " pages from " + region.name + "[" +
                     std::to_string(target.first) + "] on do not fit into '" + region.name + "', which has " +
                     std::to_string(region.pages));
    }
    const bool place = target.count == 1 || target.count == region.pages;
    if (!place && target.count != from.count) {
      fail_start(source_, to, "mremap keeps the length: name the first page of its target");
    }
    return op::Mremap{from, {target.region, target.first}, find<grammar::mremap_kind>(operation) != nullptr};
  }

  Operation read(grammar::madvise, const Node& operation) const {
    return op::Madvise{range_of(operation), closed<grammar::advice>(operation)};
  }

  Operation read(grammar::msync, const Node& operation) const { return op::Msync{range_of(operation)}; }

  Operation read(grammar::truncate, const Node& operation) const {
    return op::Truncate{file(get<grammar::file_name>(operation)),
                        number(get<grammar::page_count>(operation), "page count", limits::populated_pages)};
  }

  Operation read(grammar::fork, const Node& operation) const {
    const Node& name = get<grammar::process_name>(operation);
    const int process = this->process(name);
    if (process == thread_.process) {
      fail(name, "process " + shown(text_of(name)) + " cannot fork itself: name its child");
    }
    Process& child = program_.processes[process];
    if (child.parent >= 0) {
      const std::string first = std::to_string(fork_line(process));
      fail(name, "process " + shown(text_of(name)) + " is forked twice: first on line " + first);
    }
    child.parent = thread_.process;
    return op::Fork{process};
  }

  int fork_line(int process) const {
    for (const Thread& thread : program_.threads) {
      for (const Statement& statement : thread.statements) {
        const auto* fork = std::get_if<op::Fork>(&statement.operation);
        if (fork && fork->process == process) return statement.place.line;
      }
    }
    return 0;
  }

  Operation read(grammar::exit, const Node&) const { return op::Exit{}; }
  Operation read(grammar::kill, const Node& operation) const { return op::Kill{process_of(operation)}; }
  Operation read(grammar::wait, const Node& operation) const { return op::Wait{process_of(operation)}; }

  Operation read(grammar::barrier, const Node& operation) const {
    const Node& node = get<grammar::new_barrier>(operation);
    const std::string name = new_name(node);
    std::vector<std::string>& barriers = program_.barriers;
    const auto found = std::find(barriers.begin(), barriers.end(), name);
    const int index = static_cast<int>(found - barriers.begin());
    if (found == barriers.end()) {
      if (barriers.size() == limits::barriers) too_many(node, "barriers", limits::barriers);
      barriers.push_back(name);
    }
    return op::Barrier{index};
  }

  Operation read(grammar::delay, const Node& operation) const {
    const Node& duration = get<grammar::duration>(operation);
    const int count = number(duration, "delay", limits::delay_us);
    if (text_of(get<grammar::unit>(operation)) == "us") return op::Delay{count};
    if (count > limits::delay_us / 1000) {
      fail(duration,
           "delay '" + std::to_string(count) + "ms' is over the limit of " + std::to_string(limits::delay_us / 1000) + "ms");
    }
    return op::Delay{count * 1000};
  }

  Operation read(grammar::open, const Node& operation) const { return op::Open{own_device(operation)}; }
  Operation read(grammar::close, const Node& operation) const { return op::Close{own_device(operation)}; }

  int own_device(const Node& operation) const {
    const Node& descriptor = get<grammar::descriptor>(operation);
    const int device = via(descriptor, thread_.process).device;
    if (text_of(descriptor).find('.') != std::string_view::npos) {
      fail(descriptor, "a process opens and closes its own descriptor: name the device alone");
    }
    return device;
  }

  Operation read(grammar::migrate, const Node& operation) const {
    const PageRange range = request_range(operation);
    const Node& to = get<grammar::destination>(operation);
    const Node* const allocation = find<grammar::allocation>(operation);
    const int fail = allocation ? number(*allocation, "allocation", limits::allocations) : 0;
    if (allocation && fail == 0) this->fail(*allocation, "allocations are counted from 1 on");
    if (text_of(to) == "system") return op::Migrate{range, false, request_via(operation, -1, "migrate to system"), fail};
    const int device = find_named(program_.devices, text_of(to));
    if (device < 0) {
      std::vector<std::string> known = names_of(program_.devices);
      known.push_back("system");
      this->fail(to, "unknown device " + shown(text_of(to)), did_you_mean(text_of(to), known));
    }
    return op::Migrate{range, true, request_via(operation, device, "migrate"), fail};
  }

  // The pages of a request to a device.
  PageRange request_range(const Node& operation) const {
    const PageRange range = range_of(operation);
    if (range.count > limits::pages_per_request) {
      fail(get<grammar::range>(operation), "a request to a device names at most " + std::to_string(limits::pages_per_request) +
                                               " pages, this one " + std::to_string(range.count));
    }
    return range;
  }

  Operation read(grammar::exclusive, const Node& operation) const {
    return op::Exclusive{request_range(operation), false, request_via(operation, -1, "exclusive")};
  }

  Operation read(grammar::check_exclusive, const Node& operation) const {
    return op::Exclusive{request_range(operation), true, request_via(operation, -1, "check-exclusive")};
  }

  Operation read(grammar::snapshot, const Node& operation) const {
    return op::Snapshot{request_range(operation), request_via(operation, -1, "snapshot")};
  }

  Operation read(grammar::pin, const Node& operation) const {
    return op::Pin{request_range(operation), find<grammar::pin_kind>(operation) != nullptr, request_via(operation, -1, "pin")};
  }

  Operation read(grammar::unpin, const Node& operation) const {
    return op::Unpin{request_range(operation), request_via(operation, -1, "unpin")};
  }

  Via access_via(const Node& operation) const {
    const Node* accessor = find<grammar::accessor>(operation);
    if (!accessor) return thread_.via;
    return text_of(*accessor) == "cpu" ? Via{} : via(*accessor, thread_.process);
  }

  // The descriptor for a request to a device. `device` is the device that the statement has already named, or -1.
  Via request_via(const Node& operation, int device, const std::string& what) const {
    const Node* descriptor = find<grammar::descriptor>(operation);
    if (!descriptor) {
      const Via implied = implied_via(thread_, device);
      if (!implied.cpu()) return implied;
      const Place start = place_of(operation);
      source_.fail({start.line, start.column + static_cast<int>(text_of(operation).size())}, 1,
                   what + " needs a device: a thread of the CPU says which with 'via'");
    }
    if (text_of(*descriptor) == "cpu") fail(*descriptor, what + " is a request to a device, not to the CPU");
    const Via named = via(*descriptor, thread_.process);
    if (device >= 0 && named.device != device) fail(*descriptor, "migration to a device goes through that device");
    return named;
  }

  Thread& thread_;
};

}  // namespace

void read_statement(Program& program, const Source& source, const Node& line, int thread) {
  Reader(program, source, thread).run(line);
}

Via implied_via(const Thread& thread, int device) {
  if (!thread.via.cpu() || device < 0) return thread.via;
  return {device, thread.process};
}

}  // namespace faultline
