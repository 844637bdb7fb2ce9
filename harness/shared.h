// Memory that a process shares with the children that it forks. What a child wrote survives its death.
#pragma once

#include <errno.h>
#include <sys/mman.h>

#include <new>
#include <system_error>
#include <type_traits>

namespace faultline {

// One T, made when this is. Make it before the fork. A child may die while it writes: what more than one of them writes must be atomic, and
// must make sense in any order. Throws std::system_error if there is no memory.
template <typename T>
class Shared {
  static_assert(std::is_trivially_destructible_v<T>, "nobody knows who is the last to use it");

 public:
  Shared() {
    void* const memory = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap of shared memory");
    value_ = new (memory) T{};
  }
  ~Shared() { munmap(value_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T& operator*() const { return *value_; }
  T* operator->() const { return value_; }

 private:
  T* value_;
};

}  // namespace faultline
