// A Program in the making: the process P with its regions and, on demand, a device; threads, and what they do.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/capabilities.h"
#include "harness/program.h"
#include "stress/generate/action.h"

namespace faultline {

// What there is before the threads race.
struct Setting {
  enum class Warm {
    none,
    load,     // the device has loaded every page, so it has a PTE
    migrate,  // the pages are in the device's memory
    pin,      // the device holds the pages
  };
  Backing backing = Backing::anon_private;  // of the region a; a file_... one lies on a memfd
  bool populated = true;
  int pages = 1;
  Warm warm = Warm::none;
};

class Draft {
 public:
  // `below_root`: P is forked by a root R, which can wait for its end.
  Draft(const Capabilities& can, const Setting& setting, bool below_root = false);

  static constexpr int a = 0, b = 1;  // regions; nothing is mapped in b

  // The process P.
  int process() const { return program_.processes.size() > 1 && below_root_ ? 1 : 0; }
  // A new thread of `process`. On the device: through the descriptor that `opener` opened.
  int add_thread(int process, bool on_device, int opener);
  // A device thread that warms the pages up, as the setting says, before the threads race; `threads` wait for it.
  void warm_up(const std::vector<int>& threads);

  // Appends the action to the thread. False if it makes no sense there, such as a fork of a seventh process: nothing is added.
  // A fork's child, its main thread, is in last_child().
  bool add(int thread, const Action& action, PageRange range);
  int last_child() const { return last_child_; }

  // All threads of P meet; then its device looks at the pages once more.
  void probe(const std::vector<int>& threads);

  // With what is observed at the end: values, page frames and places of all pages in all processes.
  Program finish(const std::string& name);

  const Program& program() const { return program_; }

 private:
  void say(int thread, const Operation& operation) { statements(thread).push_back({"", operation, {}}); }
  std::vector<Statement>& statements(int thread) { return program_.threads[static_cast<std::size_t>(thread)].statements; }
  int device();
  int file();
  int fork(int thread);
  void meet(const std::string& barrier, const std::vector<int>& threads);
  std::optional<Operation> operation(int thread, const Action& action, PageRange range);

  Capabilities can_;
  Setting setting_;
  bool below_root_ = false;
  Program program_;
  int value_ = 0;  // the last one that was stored
  int last_child_ = -1;
};

}  // namespace faultline
