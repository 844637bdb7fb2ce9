// What a target gives the executor: a device that can be opened, and what can be seen of it.
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

// Result of a device access. A device that shares the CPU's tables takes signals instead of errors; the
// executor sees those itself.
struct DeviceAccess {
  int error = 0;  // errno, 0 for success
  std::uint64_t value = 0;
  bool faulted = false;  // the fault path ran (meaningful where Sight::faults)
};

// Buffers of a device of OpenCL. Requests are waited for and give an errno; each buffer has those that the language
// allows for it, and copies may have one end in memory of the host.
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

// What the driver has told of one page since the descriptor was opened, in its order: 'D' migrated to the device, 'S'
// migrated to system memory, 'F' the driver has answered a fault of the device on it (told last, behind a 'D' of the same
// fault, and again where the device had to fault again), 'U' unmapped from the device, 'E' the
// process's queues were stopped, 'R' they run again; where they will, that is waited for.
struct PageHistory {
  std::string events;
  std::string gap;  // why some may be missing; empty: none is
};

// Where a device's driver says, in the process under test, what an errno does not tell. For the person who reads
// the report.
class DriverWords {
 public:
  virtual ~DriverWords() = default;
  virtual void failed(std::string_view words) = 0;  // a request, or what must be there before any
  virtual void waits(std::string_view words) = 0;   // what a request that takes long is waiting for
  // A command of the device, with its times in nanoseconds.
  virtual void ran(std::uint64_t /*queued*/, std::uint64_t /*submitted*/, std::uint64_t /*started*/, std::uint64_t /*ended*/) {}
};

// One open descriptor. It mirrors the mm of the process that opened it; after a fork the child's copy
// of this object drives the same descriptor. Called from any thread; `address` is page-aligned.
class DeviceHandle {
 public:
  virtual ~DeviceHandle() = default;
  virtual DeviceAccess load(std::uintptr_t address) = 0;
  virtual DeviceAccess store(std::uintptr_t address, std::uint64_t value) = 0;
  virtual Svm* svm() { return nullptr; }
  virtual int ordered(std::span<OrderedAccess> /*accesses*/) { return ENOTSUP; }
  // Requests give an errno; each device has those that its Capabilities name.
  virtual int migrate(std::uintptr_t /*address*/, int /*pages*/, bool /*to_device*/) { return ENOTSUP; }
  virtual int snapshot(std::uintptr_t /*address*/, std::span<unsigned char> /*bytes_per_page*/) { return ENOTSUP; }
  virtual int pin(std::uintptr_t /*address*/, int /*pages*/, bool /*read*/) { return ENOTSUP; }
  virtual int unpin(std::uintptr_t /*address*/, int /*pages*/) { return ENOTSUP; }
  virtual int exclusive(std::uintptr_t /*address*/, int /*pages*/, bool /*check*/) { return ENOTSUP; }
  // Of the calling process's page; `device` is any device. An inherited descriptor may be asked too.
  virtual int location(std::uintptr_t /*address*/, Location& /*location*/) { return ENOTSUP; }
  virtual int history(std::uintptr_t /*address*/, PageHistory& /*history*/) { return ENOTSUP; }
};

class Target {
 public:
  virtual ~Target() = default;
  virtual std::string name() const = 0;
  virtual std::string about() const { return {}; }  // the device and its driver, where the name does not tell
  // Empty when the target works here; else why not and what would help.
  virtual std::string unavailable() const = 0;
  // It does not, because its driver crashed when it was asked for its devices.
  virtual bool crashed() const { return false; }
  virtual Capabilities capabilities() const = 0;
  // The GPUs whose health is watched while it runs, by their bus ids ("0000:03:00.0").
  virtual std::vector<std::string> gpus() const { return {}; }
  // Whose functions are counted while it runs, beside those of its GPUs' drivers: "test_hmm".
  virtual std::string driver() const { return {}; }
  // Where the driver's words go from now on, also those of processes that are forked then; null: nowhere.
  virtual void speak_to(DriverWords* /*words*/) {}
  // Opens the device with this index for the calling process. Null with errno set on failure.
  virtual std::unique_ptr<DeviceHandle> open(int device) = 0;
};

// Empty when `target` can run `program`; else the reason for skipping it ("no migration", ...).
std::string cannot_run(const Program& program, const Capabilities& capabilities);

// The same of what only a prediction knows: USM that host and device may reach at once.
std::string cannot_run(const Program& program, const Allowed& allowed, const Capabilities& capabilities);

}  // namespace faultline
