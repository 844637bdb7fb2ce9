// The words of the language's closed sets. The parser, the printer and the suggestions use the same tables.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/program.h"

namespace faultline::words {

template <typename Value, std::size_t size>
using Table = std::array<std::pair<std::string_view, Value>, size>;

inline constexpr Table<DeviceClass, static_cast<std::size_t>(DeviceClass::count_)> device_classes{{
    {"recoverable", DeviceClass::recoverable},
    {"shares-cpu-tables", DeviceClass::shares_cpu_tables},
    {"pinned", DeviceClass::pinned},
    {"fatal-faults", DeviceClass::fatal_faults},
    {"unmap-and-retry", DeviceClass::unmap_and_retry},
    {"preempt-and-restore", DeviceClass::preempt_and_restore},
    {"fault-and-migrate", DeviceClass::fault_and_migrate},
    {"map-and-restore", DeviceClass::map_and_restore},
}};

// Each enumerator has its word, or an index by the one would go past the other.
template <typename Value, std::size_t size>
constexpr bool complete(const Table<Value, size>& table) {
  for (std::size_t i = 0; i < size; ++i) {
    bool has = false;
    for (const auto& [word, value] : table) has = has || (!word.empty() && value == static_cast<Value>(i));
    if (!has) return false;
  }
  return true;
}
static_assert(complete(device_classes));

inline constexpr Table<Backing, 11> backings{{
    {"anon", Backing::anon_private},
    {"shared", Backing::anon_shared},
    {"stack", Backing::stack},
    {"none", Backing::none},
    {"private", Backing::file_private},
    {"svm-coarse", Backing::svm_coarse},
    {"svm-fine", Backing::svm_fine},
    {"usm-host", Backing::usm_host},
    {"usm-shared", Backing::usm_shared},
    {"usm-device", Backing::usm_device},
    {"device-address", Backing::device_address},
}};

// What mmap can map.
inline constexpr Table<Backing, 4> mapped_backings{{backings[0], backings[1], backings[2], backings[4]}};

// What the device's driver allocates.
inline constexpr Table<Backing, 6> buffers{{backings[5], backings[6], backings[7], backings[8], backings[9], backings[10]}};

// The word after an access. No word: plain.
inline constexpr Table<Order, 5> orders{{
    {"relaxed", Order::relaxed},
    {"acquire", Order::acquire},
    {"release", Order::release},
    {"acq-rel", Order::acq_rel},
    {"seq-cst", Order::seq_cst},
}};

inline constexpr Table<op::Update::Kind, 3> updates{{
    {"exchange", op::Update::Kind::exchange},
    {"add", op::Update::Kind::add},
    {"compare-exchange", op::Update::Kind::compare_exchange},
}};

inline constexpr Table<op::Advice, op::advice_count> advices{{
    {"dontneed", op::Advice::dontneed},
    {"dontfork", op::Advice::dontfork},
    {"hugepage", op::Advice::hugepage},
    {"populate-read", op::Advice::populate_read},
    {"populate-write", op::Advice::populate_write},
    {"wipeonfork", op::Advice::wipeonfork},
    {"keeponfork", op::Advice::keeponfork},
    {"free", op::Advice::free},
    {"pageout", op::Advice::pageout},
    {"remove", op::Advice::remove},
    {"collapse", op::Advice::collapse},
}};

inline constexpr Table<File::Kind, 2> file_kinds{{
    {"file", File::Kind::disk},
    {"memfd", File::Kind::memory},
}};

// The word after 'pin'. No word: for writing.
inline constexpr Table<bool, 1> pin_kinds{{{"read", true}}};

// The word at the end of 'mremap'.
inline constexpr Table<bool, 1> mremap_kinds{{{"dontunmap", true}}};

inline constexpr Table<op::UffdRegister::Mode, 3> uffd_modes{{
    {"missing", op::UffdRegister::Mode::missing},
    {"wp", op::UffdRegister::Mode::wp},
    {"both", op::UffdRegister::Mode::both},
}};

inline constexpr Table<Claim::Kind, 3> claims{{
    {"never", Claim::Kind::never},
    {"sometimes", Claim::Kind::sometimes},
    {"always", Claim::Kind::always},
}};

inline constexpr Table<Protection, 4> protections{{
    {"rw", Protection{true, true}},
    {"r", Protection{true, false}},
    {"w", Protection{false, true}},
    {"-", Protection{false, false}},
}};

inline constexpr std::array<std::string_view, 10> declarations{"scenario", "device",  "file",      "memfd", "process",
                                                               "thread",   "observe", "sometimes", "never", "always"};

// Words with a meaning inside a line.
inline constexpr std::array<std::string_view, 9> inner{"and", "or", "not", "same", "where", "events", "via", "on", "to"};

// These mean something else where a device's name may stand.
inline constexpr std::array<std::string_view, 2> no_devices{"cpu", "system"};

// These mean something else where a region's name may stand.
inline constexpr std::array<std::string_view, 1> no_regions{"read"};

template <typename Value, std::size_t size>
std::optional<Value> find(const Table<Value, size>& table, std::string_view text) {
  for (const auto& [word, value] : table) {
    if (word == text) return value;
  }
  return std::nullopt;
}

template <typename Value, std::size_t size>
std::string text(const Table<Value, size>& table, const Value& value) {
  for (const auto& [word, candidate] : table) {
    if (candidate == value) return std::string(word);
  }
  return "?";
}

template <typename Value, std::size_t size>
std::vector<std::string> all(const Table<Value, size>& table) {
  std::vector<std::string> result;
  for (const auto& [word, value] : table) result.emplace_back(word);
  return result;
}

template <std::size_t size>
bool has(const std::array<std::string_view, size>& list, std::string_view word) {
  for (const std::string_view candidate : list) {
    if (candidate == word) return true;
  }
  return false;
}

}  // namespace faultline::words
