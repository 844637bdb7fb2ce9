// A running Subject: its World and the stacks of its threads, in one block of memory.
//
// These bytes determine everything that a thread will do. A pointer in a stack points into that stack, into the
// World, or to something that never moves. So a stack is compared by its bytes, with pointers into the block
// made relative. Two machines at different addresses then agree on which states are the same.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels_ref/engine/subject.h"

namespace faultline::ref {

struct Hash128 {
  std::uint64_t low = 0, high = 0;
  friend auto operator<=>(const Hash128&, const Hash128&) = default;
};

// One way in which one thread can go on.
struct Choice {
  std::uint8_t thread = 0;
  std::uint8_t way = 0;
};

// What a step of one thread changes: the World and that thread.
struct Undo {
  std::vector<std::byte> bytes;
  Hash128 stack_hash;
};

class Machine {
 public:
  // Every thread has run to its first suspension.
  explicit Machine(const Subject& subject);

  void* world() { return world_; }
  const void* world() const { return world_; }
  int threads() const { return threads_; }

  void resume(Choice choice);
  void choices(std::vector<Choice>& out) const;
  // What the thread does when it is resumed: the label that its function gave.
  const char* label(int thread) const { return suspension_[thread].label; }
  bool ended(int thread) const { return !suspension_[thread].leaf; }
  // Whether some thread waits in vain. To be asked when no thread can go on.
  bool someone_waits() const;

  // Hash of the state. With `exchange`, states that differ only by an exchange of equal threads have the same hash.
  Hash128 hash(bool exchange = true) const;
  void save(int thread, Undo& out) const;
  void undo(int thread, const Undo& from);
  void save_all(std::vector<std::byte>& out) const;
  void restore_all(const std::vector<std::byte>& in);

 private:
  std::size_t put(int thread, std::byte* to) const;
  const std::byte* take(int thread, const std::byte* from);
  std::size_t bytes_of(int thread) const { return sizeof(Suspension) + sizeof(std::uint64_t) + stack_[thread].used; }
  Hash128 stack_hash(int thread) const;

  const Subject& subject_;
  const int threads_;
  const std::size_t shared_, record_, world_bytes_;
  std::unique_ptr<std::byte[]> block_;
  std::size_t block_bytes_;
  std::byte* world_;
  Suspension* suspension_;
  FrameStack* stack_;
  std::array<Hash128, max_explored_threads> stack_hash_{};
  std::array<int, max_explored_threads> group_end_{};  // by thread: one behind the last thread of its group
};

}  // namespace faultline::ref
