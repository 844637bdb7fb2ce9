#include "stress/generate/action.h"

#include <algorithm>

namespace faultline {
namespace {

using Kind = Action::Kind;
constexpr bool page = true, pages = false;
constexpr bool Capabilities::*anywhere = nullptr;

constexpr Action::Effects reads{.reads = true};
constexpr Action::Effects writes{.reads = true, .writes = true};
constexpr Action::Effects maps{.maps = true};
constexpr Action::Effects shares{.shares = true};
constexpr Action::Effects ends{.ends = true};
constexpr Action::Effects holds{.reads = true, .writes = true, .holds = true};
constexpr Action::Effects nothing{};

constexpr Action table[] = {
    {Kind::load, false, anywhere, page, 4, reads},
    {Kind::store, false, anywhere, page, 5, writes},
    {Kind::direct_read, false, &Capabilities::direct, page, 2, holds},
    {Kind::direct_write, false, &Capabilities::direct, page, 2, reads},
    {Kind::munmap, false, anywhere, pages, 3, maps},
    {Kind::protect_read, false, anywhere, pages, 3, maps},
    {Kind::protect_none, false, anywhere, pages, 2, maps},
    {Kind::protect_write, false, anywhere, pages, 1, nothing},
    {Kind::move, false, anywhere, pages, 2, maps},
    {Kind::move_pages, false, anywhere, pages, 2, maps},
    {Kind::replace, false, anywhere, pages, 2, maps},
    {Kind::replace_shared, false, anywhere, pages, 1, maps},
    {Kind::dontneed, false, anywhere, pages, 3, maps},
    {Kind::free, false, anywhere, pages, 1, maps},
    {Kind::pageout, false, anywhere, pages, 1, maps},
    {Kind::remove, false, anywhere, pages, 1, maps},
    {Kind::truncate, false, anywhere, pages, 2, maps},
    {Kind::msync, false, anywhere, pages, 1, nothing},
    {Kind::populate_read, false, anywhere, pages, 1, reads},
    {Kind::populate_write, false, anywhere, pages, 1, writes},
    {Kind::dontfork, false, anywhere, pages, 1, nothing},
    {Kind::wipeonfork, false, anywhere, pages, 1, nothing},
    {Kind::keeponfork, false, anywhere, pages, 1, nothing},
    {Kind::fork, false, anywhere, pages, 5, shares},
    {Kind::exit, false, anywhere, pages, 1, ends},
    {Kind::kill, false, anywhere, pages, 1, ends},
    {Kind::device_load, true, anywhere, page, 5, reads},
    {Kind::device_store, true, anywhere, page, 5, writes},
    {Kind::to_device, true, &Capabilities::migrate, pages, 4, maps},
    {Kind::to_device_short, true, &Capabilities::page_failures, pages, 2, maps},
    {Kind::to_system, true, &Capabilities::migrate, pages, 2, maps},
    {Kind::to_system_short, true, &Capabilities::page_failures, pages, 1, maps},
    {Kind::snapshot, true, &Capabilities::snapshot, pages, 3, reads},
    {Kind::exclusive, true, &Capabilities::exclusive, pages, 3, maps},
    {Kind::check_exclusive, true, &Capabilities::exclusive, pages, 1, nothing},
    {Kind::pin, true, &Capabilities::pin, pages, 4, holds},
    {Kind::pin_read, true, &Capabilities::pin, pages, 2, {.reads = true, .holds = true}},
    {Kind::unpin, true, &Capabilities::pin, pages, 2, ends},
    {Kind::open, true, anywhere, pages, 1, nothing},
    {Kind::close, true, anywhere, pages, 1, ends},
};

// action() needs the rows in the order of the enumerators.
constexpr bool in_order() {
  for (std::size_t i = 0; i < std::size(table); ++i)
    if (static_cast<std::size_t>(table[i].kind) != i) return false;
  return std::size(table) == static_cast<std::size_t>(Kind::close) + 1;
}
static_assert(in_order());

bool accesses(const Action& action) { return action.effects.reads || action.effects.writes; }

int one_way(const Action& one, const Action& other) {
  const Action::Effects &a = one.effects, &b = other.effects;
  const bool changes = b.maps || b.shares || b.ends;
  if (one.on_device && (accesses(one) || a.maps) && changes) return 3;
  if (a.holds && changes) return 3;
  if ((accesses(one) || a.maps) && changes) return 2;
  return accesses(one) && b.writes ? 1 : 0;
}

}  // namespace

std::span<const Action> actions() { return table; }

const Action& action(Kind kind) { return table[static_cast<std::size_t>(kind)]; }

bool has(const Capabilities& can, const Action& action) {
  if (action.on_device && !can.system) return false;
  if (action.needs == &Capabilities::page_failures && !can.migrate) return false;
  if (action.kind == Kind::pageout && can.swap) return false;
  return !action.needs || can.*action.needs;
}

int conflict(const Action& one, const Action& other) { return std::max(one_way(one, other), one_way(other, one)); }

}  // namespace faultline
