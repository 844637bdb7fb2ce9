#include "harness/language/printer.h"

#include "harness/language/statements.h"
#include "harness/language/texts.h"
#include "harness/language/words.h"
#include "harness/outcome.h"

namespace faultline {
namespace {

std::string range_text(const Program& program, const PageRange& range) {
  const Region& region = program.regions.at(range.region);
  if (range.first == 0 && range.count == region.pages) return region.name;
  std::string text = region.name + "[" + std::to_string(range.first);
  if (range.count != 1) text += ".." + std::to_string(range.first + range.count - 1);
  return text + "]";
}

std::string device_text(const Program& program, const Via& via, int process) {
  const std::string& device = program.devices.at(via.device).name;
  return via.opener == process ? device : program.processes.at(via.opener).name + "." + device;
}

// "anon", "shared f"
std::string backing_text(const Program& program, Backing backing, int file) {
  if (file < 0) return words::text(words::backings, backing);
  const bool shared = backing == Backing::file_shared;
  return words::text(words::backings, shared ? Backing::anon_shared : backing) + " " + program.files.at(file).name;
}

std::string protection_text(const Protection& protection) { return words::text(words::protections, protection); }

class StatementText {
 public:
  StatementText(const Program& program, const Thread& thread) : program_(program), thread_(thread) {}

  std::string operator()(const op::Load& load) const {
    return "load " + cell(load.cell) + order(load.order) + via(load.via, thread_.via);
  }
  std::string operator()(const op::Store& store) const {
    return "store " + cell(store.cell) + " " + std::to_string(store.value) + order(store.order) + via(store.via, thread_.via);
  }
  std::string operator()(const op::Update& update) const {
    const bool compares = update.kind == op::Update::Kind::compare_exchange;
    return words::text(words::updates, update.kind) + " " + cell(update.cell) + " " +
           (compares ? std::to_string(update.expected) + " -> " : "") + std::to_string(update.value) + order(update.order) +
           via(update.via, thread_.via);
  }
  std::string operator()(const op::DirectRead& read) const {
    return "direct-read " + cell(read.cell) + " " + std::to_string(read.value);
  }
  std::string operator()(const op::DirectWrite& write) const { return "direct-write " + cell(write.cell); }
  std::string operator()(const op::UffdRegister& uffd) const {
    return "uffd-register " + range(uffd.range) + " " + words::text(words::uffd_modes, uffd.mode);
  }
  std::string operator()(const op::UffdUnregister& uffd) const { return "uffd-unregister " + range(uffd.range); }
  std::string operator()(const op::UffdCopy& uffd) const {
    return "uffd-copy " + cell(uffd.cell) + " " + std::to_string(uffd.value);
  }
  std::string operator()(const op::UffdZero& uffd) const { return "uffd-zero " + range(uffd.range); }
  std::string operator()(const op::UffdProtect& uffd) const {
    return (uffd.set ? "uffd-protect " : "uffd-unprotect ") + range(uffd.range);
  }
  std::string operator()(const op::UffdWake& uffd) const { return "uffd-wake " + range(uffd.range); }
  std::string operator()(const op::Mmap& mmap) const {
    return "mmap " + range(mmap.range) + " " + backing_text(program_, mmap.backing, mmap.file) + " " +
           protection_text(mmap.protection);
  }
  std::string operator()(const op::Munmap& munmap) const { return "munmap " + range(munmap.range); }
  std::string operator()(const op::Mprotect& mprotect) const {
    return "mprotect " + range(mprotect.range) + " " + protection_text(mprotect.protection);
  }
  std::string operator()(const op::Mremap& mremap) const {
    const Region& target = program_.regions.at(mremap.to.region);
    const bool whole = mremap.to.page == 0 && mremap.range.count == target.pages;
    return "mremap " + range(mremap.range) + " -> " + (whole ? target.name : cell(mremap.to)) +
           (mremap.dontunmap ? " dontunmap" : "");
  }
  std::string operator()(const op::Madvise& madvise) const {
    return "madvise " + range(madvise.range) + " " + words::text(words::advices, madvise.advice);
  }
  std::string operator()(const op::Msync& msync) const { return "msync " + range(msync.range); }
  std::string operator()(const op::Truncate& truncate) const {
    return "truncate " + program_.files.at(truncate.file).name + " " + std::to_string(truncate.pages);
  }
  std::string operator()(const op::Fork& fork) const { return "fork " + process(fork.process); }
  std::string operator()(const op::Exit&) const { return "exit"; }
  std::string operator()(const op::Kill& kill) const { return "kill " + process(kill.process); }
  std::string operator()(const op::Wait& wait) const { return "wait " + process(wait.process); }
  std::string operator()(const op::Barrier& barrier) const { return "barrier " + program_.barriers.at(barrier.barrier); }
  std::string operator()(const op::Delay& delay) const {
    const bool whole = delay.us > 0 && delay.us % 1000 == 0;
    return "delay " + (whole ? std::to_string(delay.us / 1000) + "ms" : std::to_string(delay.us) + "us");
  }
  std::string operator()(const op::Open& open) const { return "open " + program_.devices.at(open.device).name; }
  std::string operator()(const op::Close& close) const { return "close " + program_.devices.at(close.device).name; }
  std::string operator()(const op::Migrate& migrate) const {
    const int device = migrate.to_device ? migrate.via.device : -1;
    return "migrate " + range(migrate.range) + " to " + (device >= 0 ? program_.devices.at(device).name : "system") +
           via(migrate.via, implied_via(thread_, device)) + (migrate.fail > 0 ? " fail " + std::to_string(migrate.fail) : "");
  }
  std::string operator()(const op::Exclusive& exclusive) const {
    return (exclusive.check ? "check-exclusive " : "exclusive ") + range(exclusive.range) +
           via(exclusive.via, implied_via(thread_, -1));
  }
  std::string operator()(const op::Snapshot& snapshot) const {
    return "snapshot " + range(snapshot.range) + via(snapshot.via, implied_via(thread_, -1));
  }
  std::string operator()(const op::Pin& pin) const {
    const std::string kind = pin.read ? "read " : "";
    return "pin " + kind + range(pin.range) + via(pin.via, implied_via(thread_, -1));
  }
  std::string operator()(const op::Unpin& unpin) const {
    return "unpin " + range(unpin.range) + via(unpin.via, implied_via(thread_, -1));
  }
  std::string operator()(const op::SvmMap& map) const {
    return "svm-map " + range(map.range) + " " + protection_text(map.access) + via(map.via, implied_via(thread_, -1));
  }
  std::string operator()(const op::SvmUnmap& unmap) const {
    return "svm-unmap " + range(unmap.range) + via(unmap.via, implied_via(thread_, -1));
  }
  std::string operator()(const op::SvmCopy& copy) const {
    return "svm-copy " + cell(copy.from) + " -> " + cell(copy.to) + via(copy.via, implied_via(thread_, -1));
  }
  std::string operator()(const op::SvmFill& fill) const {
    return "svm-fill " + cell(fill.cell) + " " + std::to_string(fill.value) + via(fill.via, implied_via(thread_, -1));
  }

 private:
  std::string order(Order order) const { return order == Order::plain ? "" : " " + words::text(words::orders, order); }
  std::string cell(const Cell& cell) const { return cell_text(program_, cell); }
  std::string range(const PageRange& range) const { return range_text(program_, range); }
  std::string process(int index) const { return program_.processes.at(index).name; }
  std::string via(const Via& via, const Via& implied) const {
    if (via == implied) return {};
    return " via " + (via.cpu() ? "cpu" : device_text(program_, via, thread_.process));
  }

  const Program& program_;
  const Thread& thread_;
};

std::string quoted_text(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (c == '\n') {
      result += "\\n";
    } else {
      result += c;
    }
  }
  return result + '"';
}

class ProgramText {
 public:
  explicit ProgramText(const Program& program) : program_(program) {}

  std::string run() {
    text_ = "scenario " + program_.name + "\n";
    if (!program_.doc.empty()) text_ += "  " + quoted_text(program_.doc) + "\n";
    for (const Device& device : program_.devices) {
      text_ += "device " + device.name + ": " + words::text(words::device_classes, device.device_class) + "\n";
    }
    for (const Thread& thread : program_.threads) add_thread(thread);
    while (next_process_ < processes()) add_process();
    for (const Observe& observe : program_.observes) text_ += "observe " + print(program_, observe) + "\n";
    for (const Claim& claim : program_.claims) text_ += print(claim) + "\n";
    return std::move(text_);
  }

 private:
  int processes() const { return static_cast<int>(program_.processes.size()); }

  bool has_main_thread(int process) const {
    for (const Thread& thread : program_.threads) {
      if (thread.name == program_.processes[process].name) return true;
    }
    return false;
  }

  // The statements of a main thread follow the line of its process. So print a process before the first thread that needs
  // it; if it has a main thread, print it when that thread's turn comes.
  void add_thread(const Thread& thread) {
    const bool main = thread.name == program_.processes.at(thread.process).name;
    while (next_process_ <= thread.process && (main || !has_main_thread(next_process_))) add_process();
    if (!main) {
      text_ += "thread " + thread.name;
      if (!thread.via.cpu()) text_ += " on " + device_text(program_, thread.via, thread.process);
      text_ += "\n";
    }
    for (const Statement& statement : thread.statements) text_ += "  " + print(program_, thread, statement) + "\n";
  }

  void add_process() {
    text_ += "process " + program_.processes[next_process_].name + "\n";
    for (const File& file : program_.files) {
      if (file.owner != next_process_) continue;
      text_ += "  " + std::string(words::text(words::file_kinds, file.kind)) + " " + file.name + ": " +
               std::to_string(file.pages) + (file.pages == 1 ? " page" : " pages") + "\n";
    }
    for (const Region& region : program_.regions) {
      if (region.owner == next_process_) add_region(region);
    }
    next_process_++;
  }

  void add_region(const Region& region) {
    text_ += "  " + region.name + ": " + std::to_string(region.pages) + (region.pages == 1 ? " page " : " pages ") +
             backing_text(program_, region.backing, region.file);
    if (region.backing != Backing::none && !is_buffer(region.backing)) text_ += " " + protection_text(region.protection);
    if (region.initial) text_ += " = " + std::to_string(*region.initial);
    text_ += "\n";
  }

  const Program& program_;
  std::string text_;
  int next_process_ = 0;
};

bool compound(const Condition& condition) {
  return condition.kind == Condition::Kind::all || condition.kind == Condition::Kind::any;
}

std::string joined(const Condition& condition) {
  const bool all = condition.kind == Condition::Kind::all;
  std::string result;
  for (const Condition& part : condition.parts) {
    if (!result.empty()) result += all ? " and " : " or ";
    const bool binds_tighter = !compound(part) || (!all && part.kind == Condition::Kind::all);
    result += binds_tighter ? print(part) : "(" + print(part) + ")";
  }
  return result;
}

}  // namespace

std::string print(const Condition& condition) {
  switch (condition.kind) {
    case Condition::Kind::equal:
    case Condition::Kind::not_equal: {
      const std::string relation = condition.kind == Condition::Kind::equal ? " = " : " != ";
      const std::string& value = condition.value;
      const bool events = condition.key.starts_with("events(");
      return condition.key + relation + ((events ? is_events_text(value) : is_snapshot_text(value)) ? quoted_text(value) : value);
    }
    case Condition::Kind::all:
    case Condition::Kind::any: return joined(condition);
    case Condition::Kind::negation: {
      const Condition& part = condition.parts.at(0);
      return "not " + (compound(part) ? "(" + print(part) + ")" : print(part));
    }
  }
  return {};
}

std::string print(const Claim& claim) { return words::text(words::claims, claim.kind) + " " + print(claim.condition); }

std::string print(const Program& program, const Thread& thread, const Statement& statement) {
  const std::string name = statement.name.empty() ? "" : statement.name + " = ";
  return name + std::visit(StatementText(program, thread), statement.operation);
}

std::string print(const Program& program, const Observe& observe) {
  std::string text = observe_text(program, observe);
  if (const std::size_t comma = text.find(','); comma != text.npos) text.insert(comma + 1, " ");
  return text;
}

std::string print(const Program& program) { return ProgramText(program).run(); }

}  // namespace faultline
