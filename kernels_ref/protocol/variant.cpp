#include "kernels_ref/protocol/variant.h"

#include <array>

namespace faultline::ref::protocol {

namespace {

struct Row {
  Variant variant;
  std::string_view name, text;
};

// In the order of Variant.
constexpr Row rows[] = {
    {Variant::no_read_retry, "no-read-retry", "the driver programs the device without mmu_interval_read_retry"},
    {Variant::callback_does_not_stamp, "callback-does-not-stamp", "invalidate() does not call mmu_interval_set_seq"},
    {Variant::callback_without_lock, "callback-without-lock", "invalidate() does not take the driver's lock"},
    {Variant::read_begin_does_not_wait, "read-begin-does-not-wait", "mmu_interval_read_begin does not wait for a running invalidation"},
    {Variant::first_end_completes, "first-end-completes", "the first of several invalidate_range_end moves the sequence on, not the last"},
};

constexpr bool in_order() {
  for (int i = 0; i < variant_count; ++i)
    if (static_cast<int>(rows[i].variant) != i) return false;
  return std::size(rows) == variant_count;
}
static_assert(in_order());

}  // namespace

std::string_view variant_name(Variant variant) { return rows[static_cast<int>(variant)].name; }
std::string_view variant_text(Variant variant) { return rows[static_cast<int>(variant)].text; }

std::optional<Variant> variant_named(std::string_view name) {
  for (const Row& row : rows)
    if (row.name == name) return row.variant;
  return std::nullopt;
}

}  // namespace faultline::ref::protocol
