// What a target's device can do and what can be seen of it: the one list, from which the agent's protocol, what
// `faultline targets` says and the Python module are made.
#pragma once

#include <array>
#include <string_view>

#include "harness/outcome.h"
#include "harness/program.h"

namespace faultline {

// What cl_intel_unified_shared_memory says of one kind of allocation (CL_UNIFIED_SHARED_MEMORY_..._INTEL).
struct UsmAccess {
  bool access = false;
  bool atomics = false;
  bool concurrent = false;  // while the host uses it
  bool concurrent_atomics = false;
  friend bool operator==(const UsmAccess&, const UsmAccess&) = default;
};

struct Capabilities {
  DeviceClass device_class = DeviceClass::shares_cpu_tables;
  Sight sight{.location = false, .events = false};  // what it can tell beside values and errors
  bool migrate = false;                             // migrate to device and to system
  bool snapshot = false;
  bool pin = false;         // pin and unpin, through a process's own descriptor
  bool exclusive = false;   // exclusive and check-exclusive
  bool direct = false;      // direct-read and direct-write: the machine has a file system with O_DIRECT
  bool inherited = true;    // a child may drive the descriptor that its parent opened
  bool forked = true;       // a process that a statement forks may open the device
  bool system = true;       // the device reaches any memory of its process
  bool svm_coarse = false;  // SVM buffers (class Svm), handed over by map and unmap
  bool svm_fine = false;    // ... that CPU and device use at once
  bool atomics = false;     // accesses with an order, in memory that both use at once
  UsmAccess usm_host, usm_shared, usm_device;
  bool device_address = false;     // buffers whose address a kernel is given
  bool swap = false;               // the machine has swap: the reference does not know what MADV_PAGEOUT does there
  bool huge_pages = false;         // the kernel makes some that nobody advised, and cannot be kept from it
  bool shared_huge_pages = false;  // it makes some in shared memory
  friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

// One that is there or is not.
struct Capability {
  // Where `faultline targets` says so: behind the class, or behind "SVM: ".
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

// In the order of the text.
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
    Capability("migrate", Capability::Line::own, "; migrates", &Capabilities::migrate),
    Capability("svm_coarse", Capability::Line::svm, "coarse-grained buffers", &Capabilities::svm_coarse),
    Capability("svm_fine", Capability::Line::svm, ", fine-grained buffers", &Capabilities::svm_fine),
    Capability("system", Capability::Line::svm, ", any memory", &Capabilities::system),
    Capability("atomics", Capability::Line::svm, ", atomics", &Capabilities::atomics),
    Capability("device_address", Capability::Line::none, "", &Capabilities::device_address),  // told beside USM
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
  std::string_view name;  // "usm_" before it in the protocol and in Python
  UsmAccess Capabilities::*member;
};
inline constexpr std::array usm_kinds = {
    UsmKind{"host", &Capabilities::usm_host},
    UsmKind{"shared", &Capabilities::usm_shared},
    UsmKind{"device", &Capabilities::usm_device},
};

}  // namespace faultline
