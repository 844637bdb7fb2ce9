// Lockdep: which lock was waited for while which lock was held, over all executions of an exploration.
#pragma once

#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "kernels_ref/protocol/machine/world.h"

namespace faultline::ref::protocol {

// "mmap_lock", "driver lock", "fence A" and so on.
const char* lock_name(Lock lock);

// The explorer's workers write to one Order at the same time. (What is found does not depend on who is first.)
class Order {
 public:
  void waited(Lock held, Lock wanted) {
    const auto at = static_cast<std::size_t>(held) * lock_count + static_cast<std::size_t>(wanted);
    if (edges_[at].load(std::memory_order_relaxed)) return;
    edges_[at].store(true, std::memory_order_relaxed);
    ++count_;
  }
  int edges() const { return count_; }
  bool has(Lock held, Lock wanted) const {
    return edges_[static_cast<std::size_t>(held) * lock_count + static_cast<std::size_t>(wanted)];
  }
  // A shortest circle: each lock was waited for while the one before it was held. Empty: there is none.
  std::vector<Lock> circle() const;

 private:
  std::array<std::atomic<bool>, lock_count * lock_count> edges_{};
  std::atomic<int> count_ = 0;
};

// "mmap_lock -> driver lock -> mmap_lock"
std::string circle_text(const std::vector<Lock>& circle);

}  // namespace faultline::ref::protocol
