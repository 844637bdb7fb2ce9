#include "harness/ordered_access.h"

#include <atomic>

namespace faultline {

void do_on_cpu(OrderedAccess& access) {
  using Kind = OrderedAccess::Kind;
  const std::atomic_ref<std::uint64_t> cell(*reinterpret_cast<std::uint64_t*>(access.address));
  // The order is a compile-time constant, so that the compiler emits the fences of that order and no others.
  const auto in = [&]<std::memory_order order, std::memory_order reading, std::memory_order writing>() {
    switch (access.kind) {
      case Kind::load: access.value = cell.load(reading); return;
      case Kind::store: cell.store(access.value, writing); return;
      case Kind::exchange: access.value = cell.exchange(access.value, order); return;
      case Kind::add: access.value = cell.fetch_add(access.value, order); return;
      case Kind::compare_exchange:
        cell.compare_exchange_strong(access.expected, access.value, order, reading);
        access.value = access.expected;  // the value that was read, whether it matched or not
    }
  };
  constexpr auto relaxed = std::memory_order_relaxed, acquire = std::memory_order_acquire, release = std::memory_order_release,
                 both = std::memory_order_acq_rel, seq_cst = std::memory_order_seq_cst;
  switch (access.order) {
    case Order::acquire: return in.operator()<acquire, acquire, relaxed>();
    case Order::release: return in.operator()<release, relaxed, release>();
    case Order::acq_rel: return in.operator()<both, acquire, release>();
    case Order::seq_cst: return in.operator()<seq_cst, seq_cst, seq_cst>();
    default: return in.operator()<relaxed, relaxed, relaxed>();
  }
}

}  // namespace faultline
