// What a target gives the executor: a device that can be opened, and what can be seen of it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "harness/outcome.h"
#include "harness/program.h"

namespace faultline {

struct Capabilities {
  DeviceClass device_class = DeviceClass::shares_cpu_tables;
  Sight sight;            // fault counts and page identity
  bool migrate = false;   // migrate to device and to system
  bool snapshot = false;
  bool pin = false;       // pin and unpin, through a process's own descriptor
  bool exclusive = false;  // exclusive and check-exclusive
  bool direct = false;     // direct-read and direct-write: the machine has a file system with O_DIRECT
  bool inherited = true;  // a child may drive the descriptor that its parent opened
  bool swap = false;      // the machine has swap: the reference does not know what MADV_PAGEOUT does there
  friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

// Result of a device access. A device that shares the CPU's tables takes signals instead of errors; the
// executor sees those itself.
struct DeviceAccess {
  int error = 0;  // errno, 0 for success
  std::uint64_t value = 0;
  bool faulted = false;  // the fault path ran (meaningful where Sight::faults)
};

// One open descriptor. It mirrors the mm of the process that opened it; after a fork the child's copy
// of this object drives the same descriptor. Called from any thread; `address` is page-aligned.
class DeviceHandle {
 public:
  virtual ~DeviceHandle() = default;
  virtual DeviceAccess load(std::uintptr_t address) = 0;
  virtual DeviceAccess store(std::uintptr_t address, std::uint64_t value) = 0;
  virtual int migrate(std::uintptr_t address, int pages, bool to_device) = 0;                 // errno
  virtual int snapshot(std::uintptr_t address, std::span<unsigned char> bytes_per_page) = 0;  // errno
  virtual int pin(std::uintptr_t address, int pages, bool read) = 0;                          // errno
  virtual int unpin(std::uintptr_t address, int pages) = 0;                                   // errno
  virtual int exclusive(std::uintptr_t address, int pages, bool check) = 0;                   // errno
};

class Target {
 public:
  virtual ~Target() = default;
  virtual std::string name() const = 0;
  // Empty when the target works here; else why not and what would help.
  virtual std::string unavailable() const = 0;
  virtual Capabilities capabilities() const = 0;
  // Opens the device with this index for the calling process. Null with errno set on failure.
  virtual std::unique_ptr<DeviceHandle> open(int device) = 0;
};

// Empty when `target` can run `program`; else the reason for skipping it ("no migration", ...).
std::string cannot_run(const Program& program, const Capabilities& capabilities);

}  // namespace faultline
