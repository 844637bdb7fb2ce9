#include "kernels_ref/protocol/machine/lock_order.h"

namespace faultline::ref::protocol {

const char* lock_name(Lock lock) {
  switch (lock) {
    case Lock::mmap_a: return "mmap_lock";
    case Lock::mmap_b: return "mmap_lock of the second mm";
    case Lock::notifier: return "subscriptions->lock";
    case Lock::srcu: return "notifier SRCU";
    case Lock::hmm: return "hmm->lock";
    case Lock::driver: return "driver lock";
    case Lock::driver_b: return "lock of the second driver";
    case Lock::svms: return "svms->lock";
    case Lock::reservation: return "dma_resv";
    case Lock::fence_a: return "fence of device A";
    case Lock::fence_b: return "fence of device B";
    case Lock::work: return "work item";
    case Lock::work_b: return "second work item";
    case Lock::page: return "folio lock";
    case Lock::rmap: return "rmap lock";
    case Lock::process: return "process_info->lock";
    case Lock::count_: break;
  }
  return "?";
}

std::vector<Lock> Order::circle() const {
  std::vector<Lock> best;
  for (int start = 0; start < lock_count; ++start) {
    // Breadth first from `start` back to itself.
    std::array<int, lock_count> came;
    came.fill(-1);
    std::vector<int> queue{start};
    int last = -1;
    for (std::size_t at = 0; at < queue.size() && last < 0; ++at) {
      for (int to = 0; to < lock_count; ++to) {
        if (!has(static_cast<Lock>(queue[at]), static_cast<Lock>(to))) continue;
        if (to == start) {
          last = queue[at];
          break;
        }
        if (came[to] >= 0) continue;
        came[to] = queue[at];
        queue.push_back(to);
      }
    }
    if (last < 0) continue;
    std::vector<Lock> circle;
    for (int n = last; n != start; n = came[n]) circle.insert(circle.begin(), static_cast<Lock>(n));
    circle.insert(circle.begin(), static_cast<Lock>(start));
    if (best.empty() || circle.size() < best.size()) best = circle;
  }
  return best;
}

std::string circle_text(const std::vector<Lock>& circle) {
  std::string text;
  for (const Lock lock : circle) text += std::string(lock_name(lock)) + " -> ";
  return circle.empty() ? "" : text + lock_name(circle.front());
}

}  // namespace faultline::ref::protocol
