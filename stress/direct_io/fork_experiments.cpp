// Mail thread 003: O_DIRECT on a page of a process that forks.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "stress/direct_io/door.h"
#include "stress/direct_io/experiment.h"

namespace faultline::direct_io {
namespace {

enum class Writer { nobody, parent, child };
enum class Fork { never, before_transfer, in_flight, after_transfer };

struct Plan {
  Direction direction = Direction::file_to_memory;
  Fork fork = Fork::in_flight;
  Writer writer = Writer::parent;
  bool dontfork = false;
};

// Shared by parent and child, which take turns.
struct Turns {
  enum Stage { started, written, landed };
  std::atomic<int> stage{started};
  char seen[64] = {};

  void wait_for(Stage wanted) const {
    while (stage < wanted) std::this_thread::sleep_for(milliseconds(1));
  }
};

// One page of memory, one transfer, and perhaps a child.
class ForkExperiment {
 public:
  ForkExperiment(const Bench& bench, const Plan& plan)
      : bench_(bench), plan_(plan), file_(bench.source(), O_RDWR | O_DIRECT), turns_(*new (shared_.get()) Turns) {
    fill(memory_.get(), Value::old, Value::old);
    if (plan.dontfork) must(::madvise(memory_.get(), page_bytes, MADV_DONTFORK), "MADV_DONTFORK");
  }

  std::optional<std::string> run() {
    if (plan_.fork == Fork::before_transfer) fork_and_write();
    Transfer transfer(file_, plan_.direction, memory_.get(), bytes(), bench_.slow.delay());
    if (plan_.fork == Fork::after_transfer) transfer.wait();
    if (plan_.fork != Fork::before_transfer) fork_and_write();
    const bool in_flight = plan_.fork == Fork::after_transfer || transfer.surely_in_flight();
    const long result = transfer.wait();
    const std::string child = what_the_child_sees();
    if (!in_flight) return std::nullopt;
    std::string text = result == static_cast<long>(bytes()) ? "" : "result " + std::to_string(result) + "; ";
    if (sends()) text += "sent " + sent() + "; ";
    return text + "parent " + halves(memory_.get()) + (child.empty() ? "" : ", child " + child);
  }

 private:
  bool sends() const { return plan_.direction == Direction::memory_to_file; }
  // ext4 waits for a write of less than a block before it returns from io_submit().
  std::size_t bytes() const { return sends() ? page_bytes : half_bytes; }
  // If the transfer sends the page, the CPU writes what is sent. If the transfer fills it, the CPU must not overwrite the data.
  Half written_half() const { return sends() ? Half::data : Half::note; }

  void fork_and_write() {
    if (plan_.fork != Fork::never) {
      child_ = must(::fork(), "fork");
      if (child_ == 0) be_the_child();
    }
    if (plan_.writer == Writer::parent) fill(memory_.get(), written_half(), Value::cpu);
    if (child_) turns_.wait_for(Turns::written);
  }

  [[noreturn]] void be_the_child() {
    if (plan_.writer == Writer::child) fill(memory_.get(), written_half(), Value::cpu);
    turns_.stage = Turns::written;
    turns_.wait_for(Turns::landed);
    const std::string seen = is_mapped(memory_.get()) ? halves(memory_.get()) : "unmapped";
    seen.copy(turns_.seen, sizeof turns_.seen - 1);
    ::_exit(0);
  }

  std::string what_the_child_sees() {
    if (!child_) return "";
    turns_.stage = Turns::landed;
    int status = 0;
    must(::waitpid(child_, &status, 0), "waitpid");
    return status == 0 ? turns_.seen : "died";
  }

  std::string sent() const {
    alignas(page_bytes) char contents[page_bytes];
    must(::pread(file_, contents, sizeof contents, 0), "read what was sent");
    return halves(contents);
  }

  const Bench& bench_;
  const Plan plan_;
  const File file_;
  const Anonymous memory_, shared_{true};
  Turns& turns_;
  pid_t child_ = 0;
};

auto with(Plan plan) {
  return [plan](const Bench& bench) { return ForkExperiment(bench, plan).run(); };
}

}  // namespace

std::vector<Experiment> fork_experiments() {
  using enum Direction;
  constexpr const char* loses = "read-fork-parent-writes";
  constexpr const char* harmless = "write-fork-parent-writes";
  return {
      {loses, "3.4", "O_DIRECT read in flight, fork(), the parent writes the other half of the page",
       "parent old+cpu, child file+old", "parent file+cpu, child old+old", nullptr, with({})},
      {"read-fork-child-writes", "3.4", "the same, the child writes: it gets the copy", "parent file+old, child old+cpu",
       "parent file+old, child old+cpu", nullptr, with({.writer = Writer::child})},
      {"read-fork-nobody-writes", "3.4", "the same, nobody writes: the child sees what came after fork()",
       "parent file+old, child file+old", "parent file+old, child old+old", nullptr, with({.writer = Writer::nobody})},
      {"read-no-fork", "3.4", "control: the same without fork()", "parent file+cpu", "parent file+cpu", loses,
       with({.fork = Fork::never})},
      {"read-ended-fork", "3.4", "control: fork() when the transfer has ended", "parent file+cpu, child file+old",
       "parent file+cpu, child file+old", loses, with({.fork = Fork::after_transfer})},
      {"fork-written-read", "3.4", "control: fork() and the parent's write before the transfer begins",
       "parent file+cpu, child old+old", "parent file+cpu, child old+old", loses, with({.fork = Fork::before_transfer})},
      {"read-dontfork", "3.6", "O_DIRECT read in flight into MADV_DONTFORK memory, fork(), the parent writes",
       "parent file+cpu, child unmapped", "parent file+cpu, child unmapped", loses, with({.dontfork = true})},
      {harmless, "3.4", "O_DIRECT write in flight, fork(), the parent writes the page: the old page is sent",
       "sent old+old; parent cpu+old, child old+old", "sent cpu+old; parent cpu+old, child old+old", nullptr,
       with({.direction = memory_to_file})},
      {"write-fork-child-writes", "3.4", "the same, the child writes", "sent old+old; parent old+old, child cpu+old",
       "sent old+old; parent old+old, child cpu+old", nullptr, with({.direction = memory_to_file, .writer = Writer::child})},
      {"write-no-fork", "3.4", "control: the same without fork(): what is sent is the page at the end of the delay",
       "sent cpu+old; parent cpu+old", "sent cpu+old; parent cpu+old", harmless,
       with({.direction = memory_to_file, .fork = Fork::never})},
  };
}

}  // namespace faultline::direct_io
