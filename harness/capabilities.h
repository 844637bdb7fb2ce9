// What a target's device can do, and what the bench can see of it. The agent's protocol, the output of
// `faultline targets` and the Python module are all made from the tables in this file.
#pragma once

#include <array>
#include <string_view>

#include "harness/outcome.h"
#include "harness/program.h"

namespace faultline {

// What cl_intel_unified_shared_memory reports for one kind of allocation (CL_UNIFIED_SHARED_MEMORY_..._INTEL).
struct UsmAccess {
  bool access = false;
  bool atomics = false;
  bool concurrent = false;  // while the host uses it
  bool concurrent_atomics = false;
  friend bool operator==(const UsmAccess&, const UsmAccess&) = default;
};

struct Capabilities {
  DeviceClass device_class = DeviceClass::shares_cpu_tables;
  Sight sight{.location = false, .events = false};  // what it can tell besides values and errors
  bool migrate = false;                             // migration to device memory and to system memory
  bool snapshot = false;
  bool pin = false;            // pin and unpin, through a descriptor that the process opened itself
  bool exclusive = false;      // exclusive and check-exclusive
  bool direct = false;         // direct-read and direct-write: the machine has a file system with O_DIRECT
  bool uffd = false;           // userfaultfd, for faults of the kernel too, and for write protection
  bool page_failures = false;  // a migration may have an allocation that fails (page_failure.h)
  bool inherited = true;       // a child may drive the descriptor that its parent opened
  bool forked = true;          // a process that the scenario forks may open the device
  bool system = true;          // the device reaches any memory of its process
  bool svm_coarse = false;     // SVM buffers (class Svm), handed over by map and unmap
  bool svm_fine = false;       // SVM buffers that CPU and device use at once
  bool atomics = false;        // accesses with a memory order, in memory that CPU and device use at once
  UsmAccess usm_host, usm_shared, usm_device;
  bool device_address = false;     // buffers that pass their device address to a kernel (cl_ext_buffer_device_address)
  bool swap = false;               // the machine has swap; the reference does not model MADV_PAGEOUT with swap
  bool huge_pages = false;         // the kernel makes huge pages without madvise, and the executor cannot prevent it
  bool shared_huge_pages = false;  // the kernel makes huge pages in shared memory
  friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

// One capability with a yes or no value.
struct Capability {
  // Where `faultline targets` prints it: after the device class, after "SVM: ", or nowhere.
  enum class Line { own, svm, none };

  constexpr Capability(std::string_view name, Line line, std::string_view text, bool Capabilities::*member)
      : name(name), line(line), text(text), member(member) {}
  constexpr Capability(std::string_view name, Line line, std::string_view text, bool Sight::*member)
      : name(name), line(line), text(text), seen(member) {}

  bool& of(Capabilities& can) const { return member ? can.*member : can.sight.*seen; }
  bool of(const Capabilities& can) const { return member ? can.*member : can.sight.*seen; }

  std::string_view name;  // in the protocol, in JSON and in Python
  Line line;
  std::string_view text;
  bool Capabilities::*member = nullptr;
  bool Sight::*seen = nullptr;
};

// In the order in which `faultline targets` prints them.
inline constexpr std::array capability_table = {
    Capability("faults", Capability::Line::own, ", device faults", &Sight::faults),
    Capability("identity", Capability::Line::own, ", page identity", &Sight::identity),
    Capability("location", Capability::Line::own, ", where pages are", &Sight::location),
    Capability("events", Capability::Line::own, ", the driver's events", &Sight::events),
    Capability("migration_errors", Capability::Line::none, "", &Sight::migration_errors),
    Capability("snapshot", Capability::Line::own, ", snapshots", &Capabilities::snapshot),
    Capability("exclusive", Capability::Line::own, ", exclusive access", &Capabilities::exclusive),
    Capability("pin", Capability::Line::own, "; pins", &Capabilities::pin),
    Capability("direct", Capability::Line::own, "; direct I/O", &Capabilities::direct),
    Capability("uffd", Capability::Line::own, "; userfaultfd", &Capabilities::uffd),
    Capability("migrate", Capability::Line::own, "; migrates", &Capabilities::migrate),
    Capability("page_failures", Capability::Line::own, ", also where memory runs out", &Capabilities::page_failures),
    Capability("svm_coarse", Capability::Line::svm, "coarse-grained buffers", &Capabilities::svm_coarse),
    Capability("svm_fine", Capability::Line::svm, ", fine-grained buffers", &Capabilities::svm_fine),
    Capability("system", Capability::Line::svm, ", any memory", &Capabilities::system),
    Capability("atomics", Capability::Line::svm, ", atomics", &Capabilities::atomics),
    Capability("device_address", Capability::Line::none, "", &Capabilities::device_address),  // printed with USM
    Capability("inherited", Capability::Line::none, "", &Capabilities::inherited),
    Capability("forked", Capability::Line::none, "", &Capabilities::forked),
    Capability("swap", Capability::Line::none, "", &Capabilities::swap),
    Capability("huge_pages", Capability::Line::none, "", &Capabilities::huge_pages),
    Capability("shared_huge_pages", Capability::Line::none, "", &Capabilities::shared_huge_pages),
};

struct UsmCapability {
  std::string_view name;
  bool UsmAccess::*member;
};
inline constexpr std::array usm_table = {
    UsmCapability{"access", &UsmAccess::access},
    UsmCapability{"atomics", &UsmAccess::atomics},
    UsmCapability{"concurrent", &UsmAccess::concurrent},
    UsmCapability{"concurrent_atomics", &UsmAccess::concurrent_atomics},
};

struct UsmKind {
  std::string_view name;  // the protocol and Python put "usm_" before it
  UsmAccess Capabilities::*member;
};
inline constexpr std::array usm_kinds = {
    UsmKind{"host", &Capabilities::usm_host},
    UsmKind{"shared", &Capabilities::usm_shared},
    UsmKind{"device", &Capabilities::usm_device},
};

}  // namespace faultline
