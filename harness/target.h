// What a target gives the executor: a device that it can open, and what it can see of that device.
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/allowed.h"
#include "harness/capabilities.h"
#include "harness/ordered_access.h"
#include "harness/program.h"

namespace faultline {

// Result of a device access. A device that shares the CPU's page tables takes signals instead of errors. The
// executor catches these signals itself.
struct DeviceAccess {
  int error = 0;  // errno, 0 for success
  std::uint64_t value = 0;
  bool faulted = false;  // the fault path ran (meaningful where Sight::faults)
};

// Buffers of an OpenCL device. Each request waits until it is done and returns an errno. A buffer supports the requests that
// the scenario language allows for its kind. One end of a copy may be in host memory.
class Svm {
 public:
  virtual ~Svm() = default;
  virtual void* allocate(std::size_t bytes, Backing backing) = 0;  // null with errno
  virtual void free(void* buffer) = 0;
  virtual int map(std::uintptr_t address, std::size_t bytes, Protection access) = 0;
  virtual int unmap(std::uintptr_t address) = 0;
  virtual int copy(std::uintptr_t to, std::uintptr_t from, std::size_t bytes) = 0;
  virtual int fill(std::uintptr_t address, std::uint64_t word) = 0;
  virtual int migrate(std::uintptr_t address, std::size_t bytes, bool to_device) = 0;
};

enum class Location {
  none,  // no page is there
  system,
  device,  // in the device's own memory
};

// The events that the driver reported for one page since the descriptor was opened, in its order:
//   'D'  migrated to the device
//   'S'  migrated to system memory
//   'F'  the driver answered a device fault on the page. It comes after a 'D' of the same fault, and comes again if the
//        device had to fault again.
//   'U'  unmapped from the device
//   'E'  the process's queues were stopped (evicted)
//   'R'  the queues run again (restored). history() waits for it, if it is going to come.
struct PageHistory {
  std::string events;
  std::string gap;  // why events may be missing; empty: none is missing
};

// Takes messages of a device's driver, in the process under test, that say more than an errno. They are for the reader of
// the report.
class DriverWords {
 public:
  virtual ~DriverWords() = default;
  virtual void failed(std::string_view words) = 0;  // a request failed, or something that requests need
  virtual void waits(std::string_view words) = 0;   // what a slow request is waiting for
  // A command of the device has ended. Times are in nanoseconds.
  virtual void ran(std::uint64_t /*queued*/, std::uint64_t /*submitted*/, std::uint64_t /*started*/, std::uint64_t /*ended*/) {}
};

// One open descriptor. It mirrors the mm of the process that opened it. After a fork the child's copy
// of this object drives the same descriptor. Any thread may call it. `address` is page-aligned.
class DeviceHandle {
 public:
  virtual ~DeviceHandle() = default;
  // Whether the descriptor is like a newly opened one once its process has unmapped all that it mirrors. Then it need not be
  // closed for the next iteration. Lets go of what it pins. Called when nobody uses the device, before the unmapping.
  virtual bool keep() { return false; }
  virtual DeviceAccess load(std::uintptr_t address) = 0;
  virtual DeviceAccess store(std::uintptr_t address, std::uint64_t value) = 0;
  virtual Svm* svm() { return nullptr; }
  virtual int ordered(std::span<OrderedAccess> /*accesses*/) { return ENOTSUP; }
  // Requests return an errno. A device supports the requests that its Capabilities name.
  // With no pages: moves nothing, and makes memory of the caller ready. The next call then touches none for the first time.
  virtual int migrate(std::uintptr_t /*address*/, int /*pages*/, bool /*to_device*/) { return ENOTSUP; }
  virtual int snapshot(std::uintptr_t /*address*/, std::span<unsigned char> /*bytes_per_page*/) { return ENOTSUP; }
  virtual int pin(std::uintptr_t /*address*/, int /*pages*/, bool /*read*/) { return ENOTSUP; }
  virtual int unpin(std::uintptr_t /*address*/, int /*pages*/) { return ENOTSUP; }
  virtual int exclusive(std::uintptr_t /*address*/, int /*pages*/, bool /*check*/) { return ENOTSUP; }
  // About a page of the calling process. Location::device means the memory of any device. An inherited descriptor may be
  // asked too.
  virtual int location(std::uintptr_t /*address*/, Location& /*location*/) { return ENOTSUP; }
  virtual int history(std::uintptr_t /*address*/, PageHistory& /*history*/) { return ENOTSUP; }
};

class Target {
 public:
  virtual ~Target() = default;
  virtual std::string name() const = 0;
  virtual std::string about() const { return {}; }  // the device and its driver, if the name does not tell
  // Empty when the target works here; otherwise why not, and what would help.
  virtual std::string unavailable() const = 0;
  // True when the target does not work because its driver crashed while listing its devices.
  virtual bool crashed() const { return false; }
  virtual Capabilities capabilities() const = 0;
  // Whether no request to the device ends early when a signal comes, or does a part, or does it twice. Read the driver, and
  // what it waits for, before saying so.
  virtual bool takes_signals() const { return false; }
  // Whether no outcome of a request to the device tells whether the page was in swap, or was moved.
  virtual bool bears_page_changes() const { return false; }
  // The bus ids ("0000:03:00.0") of the GPUs to watch while the target runs.
  virtual std::vector<std::string> gpus() const { return {}; }
  // A driver ("test_hmm") that has its function calls counted while the target runs, besides the drivers of its GPUs.
  virtual std::string driver() const { return {}; }
  // From now on, messages of the driver go to `words`, in this process and in processes forked later. Null: nowhere.
  virtual void speak_to(DriverWords* /*words*/) {}
  // Opens device number `device` for the calling process. Null with errno set on failure.
  virtual std::unique_ptr<DeviceHandle> open(int device) = 0;
};

// Empty when a target with these capabilities can run `program`; otherwise why it must skip it ("no migration", ...).
std::string cannot_run(const Program& program, const Capabilities& capabilities);

// The same for a reason that only the prediction knows: host and device may access USM at the same time.
std::string cannot_run(const Program& program, const Allowed& allowed, const Capabilities& capabilities);

}  // namespace faultline
