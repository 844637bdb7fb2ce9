#include "harness/statements.h"

#include <algorithm>
#include <array>
#include <utility>

#include "harness/names.h"
#include "harness/words.h"

namespace faultline {
namespace {

class Reader {
 public:
  Reader(Program& program, const Source& source, const Line& line, int thread)
      : program_(program), thread_(program.threads[thread]), cursor_(source, line) {}

  void run() {
    Statement statement;
    statement.place = cursor_.peek().place;
    if (cursor_.peek(1).text == "=") read_register(statement);
    const Token& word = cursor_.take();
    for (const auto& [name, read] : readers()) {
      if (name != word.text) continue;
      statement.operation = (this->*read)();
      cursor_.end();
      refuse_register_without_result(statement);
      thread_.statements.push_back(std::move(statement));
      return;
    }
    cursor_.fail(word, "unknown word " + quoted(word));
  }

 private:
  using Read = Operation (Reader::*)();

  static const std::array<std::pair<std::string_view, Read>, words::operations.size()>& readers() {
    static constexpr std::array<std::pair<std::string_view, Read>, words::operations.size()> table{{
        {"load", &Reader::load},
        {"store", &Reader::store},
        {"mmap", &Reader::mmap},
        {"munmap", &Reader::munmap},
        {"mprotect", &Reader::mprotect},
        {"mremap", &Reader::mremap},
        {"madvise", &Reader::madvise},
        {"fork", &Reader::fork},
        {"exit", &Reader::exit},
        {"kill", &Reader::kill},
        {"wait", &Reader::wait},
        {"barrier", &Reader::barrier},
        {"delay", &Reader::delay},
        {"open", &Reader::open},
        {"close", &Reader::close},
        {"migrate", &Reader::migrate},
        {"snapshot", &Reader::snapshot},
    }};
    return table;
  }

  void read_register(Statement& statement) {
    const Token& name = read_new_name(cursor_, "a register");
    cursor_.expect("=");
    if (find_named(thread_.statements, name.text) >= 0) {
      cursor_.fail(name, "a second result " + quoted(name) + " in thread '" + thread_.name + "'");
    }
    statement.name = name.text;
  }

  void refuse_register_without_result(const Statement& statement) const {
    if (statement.name.empty()) return;
    const bool barrier = std::holds_alternative<op::Barrier>(statement.operation);
    if (barrier || std::holds_alternative<op::Delay>(statement.operation)) {
      Token name;
      name.place = statement.place;
      name.length = static_cast<int>(statement.name.size());
      cursor_.fail(name, std::string(barrier ? "a barrier" : "a delay") + " has no result to name");
    }
  }

  Operation load() {
    const Cell cell = read_cell(cursor_, program_);
    return op::Load{cell, access_via()};
  }

  Operation store() {
    const Cell cell = read_cell(cursor_, program_);
    const int value = cursor_.number("value", limits::value);
    return op::Store{cell, value, access_via()};
  }

  Operation mmap() {
    const PageRange range = read_range(cursor_, program_);
    const Token& word = cursor_.word("what backs the pages (anon or shared)");
    const auto backing = words::find(words::backings, word.text);
    if (!backing || *backing == Backing::none) {
      cursor_.fail(word, "mmap maps 'anon' or 'shared' pages, not " + quoted(word),
                   did_you_mean(word.text, std::array<std::string, 2>{"anon", "shared"}));
    }
    return op::Mmap{range, *backing, read_protection(cursor_)};
  }

  Operation munmap() { return op::Munmap{read_range(cursor_, program_)}; }

  Operation mprotect() {
    const PageRange range = read_range(cursor_, program_);
    return op::Mprotect{range, read_protection(cursor_)};
  }

  Operation mremap() {
    const PageRange range = read_range(cursor_, program_);
    cursor_.expect("->");
    const Token& to = cursor_.peek();
    const PageRange target = read_range(cursor_, program_);
    const Region& region = program_.regions[target.region];
    if (target.first + range.count > region.pages) {
      cursor_.fail(to, "impossible address: " + std::to_string(range.count) + " pages from " + region.name + "[" +
                           std::to_string(target.first) + "] on do not fit into '" + region.name + "', which has " +
                           std::to_string(region.pages));
    }
    const bool place = target.count == 1 || target.count == region.pages;
    if (!place && target.count != range.count) {
      cursor_.fail(to, "mremap keeps the length: name the first page of its target");
    }
    return op::Mremap{range, {target.region, target.first}};
  }

  Operation madvise() {
    const PageRange range = read_range(cursor_, program_);
    const Token& word = cursor_.word("an advice (dontneed, dontfork or hugepage)");
    const auto advice = words::find(words::advices, word.text);
    if (!advice) {
      cursor_.fail(word, "unknown advice " + quoted(word) + ": dontneed, dontfork or hugepage",
                   did_you_mean(word.text, words::all(words::advices)));
    }
    return op::Madvise{range, *advice};
  }

  Operation fork() {
    const Token& token = cursor_.peek();
    const int process = read_process(cursor_, program_);
    if (process == thread_.process) {
      cursor_.fail(token, "process " + quoted(token) + " cannot fork itself: name its child");
    }
    Process& child = program_.processes[process];
    if (child.parent >= 0) {
      const std::string first = std::to_string(fork_line(process));
      cursor_.fail(token, "process " + quoted(token) + " is forked twice: first on line " + first);
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

  Operation exit() { return op::Exit{}; }
  Operation kill() { return op::Kill{read_process(cursor_, program_)}; }
  Operation wait() { return op::Wait{read_process(cursor_, program_)}; }

  Operation barrier() {
    const Token& name = read_new_name(cursor_, "the barrier's name");
    std::vector<std::string>& barriers = program_.barriers;
    const auto found = std::find(barriers.begin(), barriers.end(), name.text);
    const int index = static_cast<int>(found - barriers.begin());
    if (found == barriers.end()) {
      if (barriers.size() == limits::barriers) {
        cursor_.fail(name, "too many barriers: the limit is " + std::to_string(limits::barriers));
      }
      barriers.push_back(name.text);
    }
    return op::Barrier{index};
  }

  Operation delay() {
    const Token& count = cursor_.peek();
    const int number = cursor_.number("delay", limits::delay_us);
    if (cursor_.accept("us")) return op::Delay{number};
    if (!cursor_.accept("ms")) cursor_.fail_expected("a unit of time (us or ms)");
    if (number > limits::delay_us / 1000) {
      cursor_.fail(count, "delay '" + std::to_string(number) + "ms' is over the limit of " +
                              std::to_string(limits::delay_us / 1000) + "ms");
    }
    return op::Delay{number * 1000};
  }

  Operation open() { return op::Open{own_device()}; }
  Operation close() { return op::Close{own_device()}; }

  int own_device() {
    const Token& token = cursor_.word("a device");
    const Via via = device_via(cursor_, token, program_, thread_.process);
    if (token.text.find('.') != token.text.npos) {
      cursor_.fail(token, "a process opens and closes its own descriptor: name the device alone");
    }
    return via.device;
  }

  Operation migrate() {
    const PageRange range = read_range(cursor_, program_);
    cursor_.expect("to");
    if (cursor_.accept("system")) return op::Migrate{range, false, request_via(-1, "migrate to system")};
    const Token& token = cursor_.word("a device or 'system'");
    const int device = find_named(program_.devices, token.text);
    if (device < 0) {
      std::vector<std::string> known = names_of(program_.devices);
      known.push_back("system");
      cursor_.fail(token, "unknown device " + quoted(token), did_you_mean(token.text, known));
    }
    return op::Migrate{range, true, request_via(device, "migrate")};
  }

  Operation snapshot() {
    const PageRange range = read_range(cursor_, program_);
    return op::Snapshot{range, request_via(-1, "snapshot")};
  }

  Via access_via() {
    if (!cursor_.accept("via")) return thread_.via;
    const Token& token = cursor_.word("a device or 'cpu'");
    return token.text == "cpu" ? Via{} : device_via(cursor_, token, program_, thread_.process);
  }

  // Who a device request goes to; `device` is what the statement named already, or -1.
  Via request_via(int device, const std::string& what) {
    const Token& at = cursor_.peek();
    if (!cursor_.accept("via")) {
      const Via via = implied_via(thread_, device);
      if (via.cpu()) cursor_.fail(at, what + " needs a device: a thread of the CPU says which with 'via'");
      return via;
    }
    const Token& token = cursor_.word("a device");
    if (token.text == "cpu") cursor_.fail(token, what + " is a request to a device, not to the CPU");
    const Via via = device_via(cursor_, token, program_, thread_.process);
    if (device >= 0 && via.device != device) cursor_.fail(token, "migration to a device goes through that device");
    return via;
  }

  Program& program_;
  Thread& thread_;
  Cursor cursor_;
};

}  // namespace

void read_statement(Program& program, const Source& source, const Line& line, int thread) {
  Reader(program, source, line, thread).run();
}

Via implied_via(const Thread& thread, int device) {
  if (!thread.via.cpu() || device < 0) return thread.via;
  return {device, thread.process};
}

}  // namespace faultline
