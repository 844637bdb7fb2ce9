#include "kernels_ref/engine/execution.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

namespace faultline::ref {

namespace {

constexpr std::size_t rounded(std::size_t bytes) { return (bytes + 15) & ~std::size_t{15}; }

Hash128 xxh3(const void* bytes, std::size_t size) {
  const XXH128_hash_t h = XXH3_128bits(bytes, size);
  return {h.low64, h.high64};
}

}  // namespace

Machine::Machine(const Subject& subject)
    : subject_(subject),
      threads_(subject.threads()),
      shared_(subject.shared_bytes()),
      record_(subject.record_bytes()),
      world_bytes_(shared_ + record_ * threads_) {
  const std::size_t suspensions = rounded(world_bytes_);
  const std::size_t stacks = suspensions + rounded(sizeof(Suspension) * threads_);
  block_bytes_ = stacks + sizeof(FrameStack) * threads_;
  block_ = std::make_unique<std::byte[]>(block_bytes_);
  world_ = block_.get();
  suspension_ = reinterpret_cast<Suspension*>(world_ + suspensions);
  stack_ = reinterpret_cast<FrameStack*>(world_ + stacks);
  for (int t = threads_ - 1; t >= 0; --t)
    group_end_[t] = t + 1 < threads_ && subject.group(t) == subject.group(t + 1) ? group_end_[t + 1] : t + 1;
  subject.start(world_);
  for (int t = 0; t < threads_; ++t) {
    new (&suspension_[t]) Suspension;
    current_stack = &stack_[t];
    suspension_[t].leaf = subject.thread(world_, &suspension_[t], t).release();
    resume({static_cast<std::uint8_t>(t), 0});
  }
}

void Machine::resume(Choice choice) {
  const int t = choice.thread;
  current_stack = &stack_[t];
  Suspension& s = suspension_[t];
  s.chosen = choice.way;
  const auto leaf = std::coroutine_handle<>::from_address(s.leaf);
  s = {};  // stays so when the thread ends
  s.chosen = choice.way;
  leaf.resume();
  s.chosen = 0;
  stack_hash_[t] = stack_hash(t);
}

void Machine::choices(std::vector<Choice>& out) const {
  out.clear();
  for (int t = 0; t < threads_; ++t) {
    const Suspension& s = suspension_[t];
    if (!s.leaf) continue;
    const int ways = s.alternatives ? s.alternatives(s.condition) : 1;
    for (int w = 0; w < ways; ++w) out.push_back({static_cast<std::uint8_t>(t), static_cast<std::uint8_t>(w)});
  }
}

bool Machine::someone_waits() const {
  for (int t = 0; t < threads_; ++t)
    if (!ended(t) && subject_.unfinished(world_, t)) return true;
  return false;
}

Hash128 Machine::stack_hash(int thread) const {
  const FrameStack& stack = stack_[thread];
  std::uint64_t words[sizeof(Suspension) / 8 + stack_bytes / 8];
  std::memcpy(words, &suspension_[thread], sizeof(Suspension));
  std::memcpy(words + sizeof(Suspension) / 8, stack.bytes, stack.used);
  const std::size_t count = sizeof(Suspension) / 8 + stack.used / 8;
  // A thread's own suspension and stack first, so that equal threads have equal bytes; then the World.
  const auto base = [](const void* p) { return reinterpret_cast<std::uint64_t>(p); };
  const std::uint64_t own = base(&stack), place = base(&suspension_[thread]), world = base(world_);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t w = words[i];
    if (w - world >= block_bytes_) continue;
    if (w - own < sizeof(FrameStack)) words[i] = w - own + 1;
    else if (w - place < sizeof(Suspension)) words[i] = w - place + sizeof(FrameStack) + 1;
    else if (const std::uint64_t at = w - world - shared_ - record_ * thread; at < record_)
      words[i] = at + 2 * sizeof(FrameStack);
    else words[i] = w - world + 3 * sizeof(FrameStack);
  }
  return xxh3(words, count * 8);
}

Hash128 Machine::hash(bool exchange) const {
  std::array<Hash128, max_explored_threads + 1> all;
  all[0] = xxh3(world_, shared_);
  for (int t = 0; t < threads_; ++t) {
    all[t + 1] = stack_hash_[t];
    if (record_) {
      const Hash128 record = xxh3(world_ + shared_ + record_ * t, record_);
      const Hash128 both[2] = {stack_hash_[t], record};
      all[t + 1] = xxh3(both, sizeof both);
    }
  }
  // Threads of a group are neighbours. They are equal, so their order must not count.
  for (int t = 0; exchange && t < threads_; t = group_end_[t])
    if (group_end_[t] > t + 1) std::sort(all.begin() + 1 + t, all.begin() + 1 + group_end_[t]);
  return xxh3(all.data(), sizeof(Hash128) * (threads_ + 1));
}

std::size_t Machine::put(int thread, std::byte* to) const {
  std::memcpy(to, &suspension_[thread], sizeof(Suspension));
  std::memcpy(to + sizeof(Suspension), &stack_[thread].used, sizeof(std::uint64_t));
  std::memcpy(to + sizeof(Suspension) + sizeof(std::uint64_t), stack_[thread].bytes, stack_[thread].used);
  return bytes_of(thread);
}

const std::byte* Machine::take(int thread, const std::byte* from) {
  FrameStack& stack = stack_[thread];
  const std::uint64_t before = stack.used;
  std::memcpy(&suspension_[thread], from, sizeof(Suspension));
  std::memcpy(&stack.used, from + sizeof(Suspension), sizeof(std::uint64_t));
  std::memcpy(stack.bytes, from + sizeof(Suspension) + sizeof(std::uint64_t), stack.used);
  if (before > stack.used) std::memset(stack.bytes + stack.used, 0, before - stack.used);
  return from + bytes_of(thread);
}

void Machine::save(int thread, Undo& out) const {
  out.bytes.resize(world_bytes_ + bytes_of(thread));
  std::memcpy(out.bytes.data(), world_, world_bytes_);
  put(thread, out.bytes.data() + world_bytes_);
  out.stack_hash = stack_hash_[thread];
}

void Machine::undo(int thread, const Undo& from) {
  std::memcpy(world_, from.bytes.data(), world_bytes_);
  take(thread, from.bytes.data() + world_bytes_);
  stack_hash_[thread] = from.stack_hash;
}

void Machine::save_all(std::vector<std::byte>& out) const {
  std::size_t size = world_bytes_;
  for (int t = 0; t < threads_; ++t) size += bytes_of(t);
  out.resize(size);
  std::memcpy(out.data(), world_, world_bytes_);
  std::byte* at = out.data() + world_bytes_;
  for (int t = 0; t < threads_; ++t) at += put(t, at);
}

void Machine::restore_all(const std::vector<std::byte>& in) {
  std::memcpy(world_, in.data(), world_bytes_);
  const std::byte* at = in.data() + world_bytes_;
  for (int t = 0; t < threads_; ++t) {
    at = take(t, at);
    stack_hash_[t] = stack_hash(t);
  }
}

}  // namespace faultline::ref
