#include "harness/executor/page_failure.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>

namespace faultline {
namespace {

// Of the thread that opens it.
constexpr const char* fail_nth = "/proc/thread-self/fail-nth";

struct Knob {
  const char* name;
  const char* value;
};
// Allocations may wait for reclaim, be of high memory, or be of one page only. The kernel does not tell the log about each.
constexpr std::array<Knob, 4> knobs{
    {{"ignore-gfp-wait", "N"}, {"ignore-gfp-highmem", "N"}, {"min-order", "0"}, {"verbose", "0"}}};

std::string path_of(const Knob& knob) { return std::string("/sys/kernel/debug/fail_page_alloc/") + knob.name; }

}  // namespace

PageFailure::PageFailure(int nth, const std::function<void()>& warm) {
  if (nth == 0) return;
  file_ = open(fail_nth, O_WRONLY | O_CLOEXEC);
  if (file_ < 0) {
    error_ = errno;
    return;
  }
  ask_for(0);
  warm();
  ask_for(nth);
}

PageFailure::~PageFailure() {
  if (file_ < 0) return;
  ask_for(0);
  close(file_);
}

void PageFailure::ask_for(int nth) {
  const std::string text = std::to_string(nth);
  if (pwrite(file_, text.data(), text.size(), 0) < 0) error_ = errno;
}

bool has_page_failures() {
  if (access(fail_nth, W_OK) != 0) return false;
  for (const Knob& knob : knobs) {
    std::string value;
    if (!(std::ifstream(path_of(knob)) >> value) || value != knob.value) return false;
  }
  return true;
}

void allow_page_failures() {
  for (const Knob& knob : knobs) std::ofstream(path_of(knob)) << knob.value;
}

}  // namespace faultline
