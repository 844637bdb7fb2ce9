#include "drm_glue/amdgpu/svm.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <array>

#include "drm_glue/amdgpu/memory.h"
#include "harness/outcome.h"

namespace faultline::amdgpu {
namespace {

using Kind = kfd::SmiEvent::Kind;

constexpr std::array all_events = {Kind::vm_fault,       Kind::migrate_start,  Kind::migrate_end,   Kind::page_fault_start,
                                   Kind::page_fault_end, Kind::queue_eviction, Kind::queue_restore, Kind::unmap_from_gpu};

void note_gap(PageHistory& history, const std::string& why) {
  if (history.gap.empty()) history.gap = why;
}

void add_migration(PageHistory& history, const kfd::SmiEvent& event, std::uint32_t gpu) {
  if (event.trigger >= KFD_MIGRATE_TRIGGER_TTM_EVICTION) note_gap(history, "the driver moved pages on its own: VRAM was short");
  else if (event.error && *event.error != 0) note_gap(history, "a migration failed in part: " + std::to_string(*event.error));
  else if (event.node == gpu) history.events += 'D';
  else history.events += event.node == 0 ? 'S' : '?';  // '?' is never expected: pages go to the GPU or to system memory
}

bool is_about(const kfd::SmiEvent& event, std::uintptr_t address) {
  const std::uint64_t page = address / page_bytes;
  const std::uint64_t count = event.kind == Kind::page_fault_end ? 1 : event.pages;
  return page >= event.address && page - event.address < count;
}

}  // namespace

PageHistory history_of(std::uintptr_t address, const std::vector<kfd::SmiEvent>& events, std::uint32_t gpu) {
  PageHistory history;
  for (const kfd::SmiEvent& event : events) {
    if (event.kind == Kind::queue_eviction) {
      if (event.trigger == KFD_QUEUE_EVICTION_TRIGGER_SVM) history.events += 'E';
      else note_gap(history, "the driver stopped queues on its own");
    } else if (event.kind == Kind::queue_restore) {
      if (!event.rescheduled) history.events += 'R';
    } else if (is_about(event, address)) {
      if (event.kind == Kind::migrate_end) add_migration(history, event, gpu);
      else if (event.kind == Kind::page_fault_end) history.events += 'F';
      else if (event.kind == Kind::unmap_from_gpu) history.events += 'U';
    }
  }
  return history;
}

bool is_stopped(std::span<const kfd::SmiEvent> events) {
  int evicted = 0;
  for (const kfd::SmiEvent& event : events) {
    if (event.kind == Kind::queue_eviction) ++evicted;
    else if (event.kind == Kind::queue_restore && !event.rescheduled && evicted > 0) --evicted;
  }
  return evicted > 0;
}

std::vector<kfd::SmiEvent> unfinished(std::span<const kfd::SmiEvent> events) {
  for (std::size_t i = events.size(); i-- > 0;) {
    const bool own = events[i].kind == Kind::queue_eviction && events[i].trigger != KFD_QUEUE_EVICTION_TRIGGER_SVM;
    if (own && is_stopped(events.subspan(i))) return {events[i]};
  }
  return {};
}

SvmProcess::~SvmProcess() {
  if (events_descriptor_ >= 0) kernel_.close(events_descriptor_);
  if (node_ >= 0) kernel_.close(node_);
}

int SvmProcess::open(kfd::Xnack mode) {
  if (const int error = kfd_.open()) return error;
  do node_ = kernel_.open(render_node_.c_str(), O_RDWR | O_CLOEXEC);
  while (node_ < 0 && errno == EINTR);
  if (node_ < 0) return errno;
  // EBUSY: an OpenCL driver was here first. The process keeps that driver's VM and XNACK mode.
  if (const int error = kfd_.acquire_vm(gpu_, node_); error != 0 && error != EBUSY) return error;
  if (const int error = kfd_.set_xnack(mode)) {
    kfd::Xnack now{};
    if (error != EBUSY || kfd_.xnack(now) != 0 || now != mode) return error;
  }
  std::uint64_t mask = 0;
  for (const Kind kind : all_events) mask |= KFD_SMI_EVENT_MASK_FROM_INDEX(static_cast<std::uint32_t>(kind));
  return kfd_.open_events(gpu_, mask, events_descriptor_);
}

int SvmProcess::migrate(std::uintptr_t address, std::size_t bytes, bool to_device) {
  const kfd_ioctl_svm_attribute attributes[] = {
      {KFD_IOCTL_SVM_ATTR_ACCESS, gpu_},
      {KFD_IOCTL_SVM_ATTR_PREFETCH_LOC, to_device ? gpu_ : static_cast<std::uint32_t>(KFD_IOCTL_SVM_LOCATION_SYSMEM)}};
  return set(address, bytes, attributes);
}

int SvmProcess::give_access(std::uintptr_t address) {
  const kfd_ioctl_svm_attribute attributes[] = {{KFD_IOCTL_SVM_ATTR_ACCESS, gpu_}};
  return set(address, page_bytes, attributes);
}

int SvmProcess::keep_in_place(std::uintptr_t address, std::size_t bytes) {
  const kfd_ioctl_svm_attribute attributes[] = {{KFD_IOCTL_SVM_ATTR_ACCESS_IN_PLACE, gpu_}};
  return set(address, bytes, attributes);
}

int SvmProcess::set(std::uintptr_t address, std::size_t bytes, std::span<const kfd_ioctl_svm_attribute> attributes) {
  if (const int error = kfd_.set_attributes(address, bytes, attributes)) return error;
  return keep_up();  // before the kernel's buffer is full
}

int SvmProcess::read_events() {
  std::array<char, kfd::SmiStream::kernel_buffer> bytes;
  for (;;) {
    const ssize_t got = kernel_.read(events_descriptor_, bytes.data(), bytes.size());
    if (got > 0) stream_.feed({bytes.data(), static_cast<std::size_t>(got)});
    else if (got == 0 || errno == EAGAIN) break;
    else if (errno != EINTR) return errno;
  }
  for (kfd::SmiEvent& event : stream_.take()) {
    if (event.kind == Kind::vm_fault) faulted_ |= event.pid == owner_;  // all clients are told
    else events_.push_back(std::move(event));
  }
  return 0;
}

int SvmProcess::keep_up() {
  const std::lock_guard lock(mutex_);
  return read_events();
}

bool SvmProcess::has_faulted() {
  const std::lock_guard lock(mutex_);
  read_events();
  return faulted_;
}

int SvmProcess::history(std::uintptr_t address, PageHistory& history) {
  const std::lock_guard lock(mutex_);
  if (const int error = wait_for_worker(restored_ms)) return error;
  history = history_of(address, events_, gpu_);
  if (!stream_.gap().empty()) note_gap(history, stream_.gap());
  return 0;
}

int SvmProcess::wait_for_worker(int patience_ms) {
  int error = 0;
  const auto busy = [this] { return stream_.gap().empty() && (is_stopped(events_) || stream_.answering()); };
  for (int waited = 0; (error = read_events()) == 0 && busy() && waited < patience_ms; ++waited) {
    const timespec millisecond{0, 1'000'000};
    nanosleep(&millisecond, nullptr);
  }
  return error;
}

void SvmProcess::settle() {
  if (getpid() != owner_) return;  // the lock and the events belong to the parent
  const std::lock_guard lock(mutex_);
  wait_for_worker(restored_ms);
}

void SvmProcess::forget_history() {
  const std::lock_guard lock(mutex_);
  wait_for_worker(forgotten_ms);
  events_ = unfinished(events_);
  stream_ = {};
}

}  // namespace faultline::amdgpu
