#include "drm_glue/kfd/smi_event.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

namespace faultline::kfd {
namespace {

using Kind = SmiEvent::Kind;

// Whether sscanf() has read all of `text`. `read` is its %n, or negative.
bool whole(const std::string& text, int read) { return read >= 0 && static_cast<std::size_t>(read) == text.size(); }

// Most events begin with "ns -pid". Puts the remainder into `rest`.
bool take_time(const std::string& text, SmiEvent& event, std::string& rest) {
  int read = -1, pid = 0;
  std::int64_t ns = 0;
  if (std::sscanf(text.c_str(), "%" SCNd64 " -%d %n", &ns, &pid, &read) != 2 || read < 0) return false;
  event.ns = ns;
  event.pid = pid;
  rest = text.substr(static_cast<std::size_t>(read));
  return true;
}

bool take_migrate_start(const std::string& text, SmiEvent& event) {
  int read = -1;
  std::sscanf(text.c_str(), "@%" SCNx64 "(%" SCNx64 ") %" SCNx32 "->%" SCNx32 " %" SCNx32 ":%" SCNx32 " %" SCNu32 "%n",
              &event.address, &event.pages, &event.from, &event.node, &event.prefetch, &event.preferred, &event.trigger, &read);
  return whole(text, read);
}

bool take_migrate_end(const std::string& text, SmiEvent& event) {
  int read = -1, error = 0;
  std::sscanf(text.c_str(), "@%" SCNx64 "(%" SCNx64 ") %" SCNx32 "->%" SCNx32 " %" SCNu32 "%n", &event.address, &event.pages,
              &event.from, &event.node, &event.trigger, &read);
  if (whole(text, read) || read < 0) return read >= 0;
  const std::string rest = text.substr(static_cast<std::size_t>(read));
  std::sscanf(rest.c_str(), " %d%n", &error, &read);
  event.error = error;
  return whole(rest, read);
}

bool take_page_fault(const std::string& text, SmiEvent& event) {
  int read = -1;
  char letter = 0;
  std::sscanf(text.c_str(), "@%" SCNx64 "(%" SCNx32 ") %c%n", &event.address, &event.node, &letter, &read);
  event.pages = 1;
  const bool starts = event.kind == Kind::page_fault_start;
  event.write = letter == 'W';
  event.migrated = letter == 'M';
  return whole(text, read) && (starts ? letter == 'R' || letter == 'W' : letter == 'M' || letter == 'U');
}

bool take_eviction(const std::string& text, SmiEvent& event) {
  int read = -1;
  std::sscanf(text.c_str(), "%" SCNx32 " %" SCNu32 "%n", &event.node, &event.trigger, &read);
  return whole(text, read);
}

bool take_restore(const std::string& text, SmiEvent& event) {
  int read = -1, more = -1;
  char letter = '0';
  std::sscanf(text.c_str(), "%" SCNx32 "%n %c%n", &event.node, &read, &letter, &more);
  event.rescheduled = letter == 'R';
  return whole(text, more < 0 ? read : more) && (letter == '0' || letter == 'R');
}

bool take_unmap(const std::string& text, SmiEvent& event) {
  int read = -1;
  std::sscanf(text.c_str(), "@%" SCNx64 "(%" SCNx64 ") %" SCNx32 " %" SCNu32 "%n", &event.address, &event.pages, &event.node,
              &event.trigger, &read);
  return whole(text, read);
}

bool take_rest(const std::string& text, SmiEvent& event) {
  std::string rest;
  switch (event.kind) {
    case Kind::vm_fault:
    case Kind::process_start:
    case Kind::process_end: {
      int read = -1;
      // "pid:task". Newer kernels put a time in front for process events.
      if (take_time(text, event, rest)) return event.words = rest, !rest.empty();
      if (std::sscanf(text.c_str(), "%x:%n", reinterpret_cast<unsigned*>(&event.pid), &read) != 1 || read < 0) return false;
      event.words = text.substr(static_cast<std::size_t>(read));
      return true;
    }
    case Kind::thermal_throttle:
    case Kind::gpu_pre_reset:
    case Kind::gpu_post_reset: event.words = text; return !text.empty();
    default: break;
  }
  if (!take_time(text, event, rest)) return false;
  switch (event.kind) {
    case Kind::migrate_start: return take_migrate_start(rest, event);
    case Kind::migrate_end: return take_migrate_end(rest, event);
    case Kind::page_fault_start:
    case Kind::page_fault_end: return take_page_fault(rest, event);
    case Kind::queue_eviction: return take_eviction(rest, event);
    case Kind::queue_restore: return take_restore(rest, event);
    case Kind::unmap_from_gpu: return take_unmap(rest, event);
    default: return false;
  }
}

// Does not compare the destinations. If they differ, that is the driver's mistake, not a gap.
bool is_start_of(const SmiEvent& start, const SmiEvent& end) {
  const auto wanted = end.kind == Kind::migrate_end ? Kind::migrate_start : Kind::page_fault_start;
  return start.kind == wanted && start.pid == end.pid && start.address == end.address;
}

}  // namespace

std::optional<SmiEvent> parse_smi_event(std::string_view line) {
  std::string text(line);
  std::ranges::replace(text, '\0', '0');  // some kernels' QUEUE_RESTORE has one
  unsigned number = 0;
  int read = -1;
  if (std::sscanf(text.c_str(), "%x %n", &number, &read) != 1 || read < 0) return std::nullopt;
  SmiEvent event;
  event.kind = static_cast<Kind>(number);
  if (!take_rest(text.substr(static_cast<std::size_t>(read)), event)) return std::nullopt;
  return event;
}

void SmiStream::feed(std::string_view bytes) {
  if (bytes.size() + longest_event > kernel_buffer) note_gap("the kernel's buffer was full: events may have been dropped");
  rest_ += bytes;
  std::size_t end;
  while ((end = rest_.find('\n')) != std::string::npos) {
    const std::string line = rest_.substr(0, end);
    rest_.erase(0, end + 1);
    const std::optional<SmiEvent> event = parse_smi_event(line);
    if (!event) {
      note_gap("a line that is not an event: '" + line + "'");
      continue;
    }
    check_pairs(*event);
    events_.push_back(*event);
  }
}

std::vector<SmiEvent> SmiStream::take() { return std::exchange(events_, {}); }

bool SmiStream::answering() const {
  return std::ranges::any_of(open_, [](const SmiEvent& start) { return start.kind == Kind::page_fault_start; });
}

void SmiStream::note_gap(const std::string& why) {
  if (gap_.empty()) gap_ = why;
}

void SmiStream::check_pairs(const SmiEvent& event) {
  if (event.kind == Kind::migrate_start || event.kind == Kind::page_fault_start) open_.push_back(event);
  if (event.kind != Kind::migrate_end && event.kind != Kind::page_fault_end) return;
  const auto start = std::ranges::find_if(open_, [&](const SmiEvent& each) { return is_start_of(each, event); });
  if (start == open_.end()) note_gap("an end without its start");
  else open_.erase(start);
}

}  // namespace faultline::kfd
