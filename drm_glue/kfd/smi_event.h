// Events of KFD's system management interface (drivers/gpu/drm/amd/amdkfd/kfd_smi_events.c). Each event is a line that
// begins with the event's number in hexadecimal.
//
// Kernels differ in how some lines end; the parser takes all variants. The line of a successful QUEUE_RESTORE ended
// after the node (until 663b0f1e141d), then had a NUL before its newline (until 969faea4e9d0), and ends with a 0 today.
// A MIGRATE_END shows a failure only in newer kernels, which put an error after the trigger. Newer resets have a cause.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::kfd {

struct SmiEvent {
  // Numbers of enum kfd_smi_event.
  enum class Kind : std::uint32_t {
    vm_fault = 1,
    thermal_throttle = 2,
    gpu_pre_reset = 3,
    gpu_post_reset = 4,
    migrate_start = 5,
    migrate_end = 6,
    page_fault_start = 7,
    page_fault_end = 8,
    queue_eviction = 9,
    queue_restore = 10,
    unmap_from_gpu = 11,
    process_start = 12,
    process_end = 13,
  };
  Kind kind = Kind::vm_fault;
  std::int64_t ns = 0;        // since boot; 0 for the first four kinds, and for process events of older kernels
  int pid = 0;                // 0 if the event is about a device
  std::uint64_t address = 0;  // of the first page, in pages of 4 KiB
  std::uint64_t pages = 0;
  std::uint32_t node = 0;                     // gpu id; of a migration: the destination, 0 for system memory
  std::uint32_t from = 0;                     // of a migration: the source, a gpu id or 0 for system memory
  std::uint32_t prefetch = 0, preferred = 0;  // of a migrate_start: locations
  std::uint32_t trigger = 0;                  // KFD_MIGRATE_TRIGGER_*, KFD_QUEUE_EVICTION_*, KFD_SVM_UNMAP_TRIGGER_*
  bool write = false;                         // of a page_fault_start
  bool migrated = false;                      // of a page_fault_end: the page was migrated, not only mapped
  bool rescheduled = false;                   // of a queue_restore: it failed and is tried again
  std::optional<int> error;  // of a migrate_end, in newer kernels: number of pages that did not migrate, or an errno
  std::string words;         // of a vm_fault: the task; of a reset: its number and cause; of throttling: both masks
  friend bool operator==(const SmiEvent&, const SmiEvent&) = default;
};

// Nothing for a line that is not a known event.
std::optional<SmiEvent> parse_smi_event(std::string_view line);

// Cuts the output of read() into events. The kernel buffers 8 KiB per reader and silently drops events that do not fit.
// So the stream itself tracks whether it may have a gap.
class SmiStream {
 public:
  static constexpr std::size_t kernel_buffer = 8192;  // MAX_KFIFO_SIZE
  static constexpr std::size_t longest_event = 96;    // KFD_SMI_EVENT_MSG_SIZE

  // `bytes`: what one read() of at least kernel_buffer bytes gave.
  void feed(std::string_view bytes);
  std::vector<SmiEvent> take();

  // Why events may be missing, for people to read; empty: none are.
  const std::string& gap() const { return gap_; }

  // Whether the driver is still at a page fault, so that its end is yet to come. (A migration that moves nothing has a start
  // and no end in older kernels.)
  bool answering() const;

 private:
  void note_gap(const std::string& why);
  void check_pairs(const SmiEvent& event);

  std::string rest_;
  std::vector<SmiEvent> events_;
  std::vector<SmiEvent> open_;  // starts of migrations and page faults that have no end yet
  std::string gap_;
};

}  // namespace faultline::kfd
