#include "kernels_ref/engine/task.h"

#include <cstdio>
#include <cstdlib>

namespace faultline::ref {

thread_local FrameStack* current_stack = nullptr;

namespace {
std::size_t rounded(std::size_t size) { return (size + 15) & ~std::size_t{15}; }
}  // namespace

void* push_frame(std::size_t size) {
  FrameStack& stack = *current_stack;
  size = rounded(size);
  if (stack.used + size > stack_bytes) {
    std::fprintf(stderr, "faultline: the reference's stack of %zu bytes is too small\n", stack_bytes);
    std::abort();
  }
  void* frame = stack.bytes + stack.used;
  stack.used += size;
  return frame;
}

void pop_frame(void* frame, std::size_t size) {
  FrameStack& stack = *current_stack;
  size = rounded(size);
  if (stack.bytes + stack.used != static_cast<std::byte*>(frame) + size) {
    std::fprintf(stderr, "faultline: coroutine frames of the reference do not nest\n");
    std::abort();
  }
  std::memset(frame, 0, size);
  stack.used -= size;
}

}  // namespace faultline::ref
