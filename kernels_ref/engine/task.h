// Kernel threads of control as C++20 coroutines that read like the kernel functions they stand for.
//
// A coroutine suspends where the kernel could be interrupted: `co_await cpu.step("...")`. What it does
// between two suspensions is atomic. The frames of one modelled thread lie on a stack of its own at a
// fixed address (FrameStack). So the explorer saves a state by copying bytes, goes back by copying them
// in again, and recognises a state by its bytes. The whole frame is part of the state, so no local can be
// forgotten. Two rules follow: locals are trivially copyable, and no coroutine touches the heap. Freed
// frames are zeroed, so that dead bytes do not make equal states differ.
//
// g++ 12 has two bugs. It drops the whole body of a coroutine that awaits in the condition of an if, while
// or switch and declares no variable: such a thread ends before its first step. And it runs a co_await behind && or ||, or
// in a ?:, even when it should not, for instance in an argument or a returned expression. So a co_await is a statement of
// its own, or the whole initialiser of a variable (test_coroutines.py).
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <type_traits>
#include <utility>

namespace faultline::ref {

inline constexpr std::size_t stack_bytes = 8192;

// The frames of one thread, newest last. Allocation is last in, first out, as calls nest.
struct FrameStack {
  std::uint64_t used = 0;
  alignas(16) std::byte bytes[stack_bytes];
};

// The stack on which coroutine frames are made. The explorer sets it before it resumes a thread.
extern thread_local FrameStack* current_stack;

void* push_frame(std::size_t size);
void pop_frame(void* frame, std::size_t size);

// How a suspended thread may go on. `alternatives` says in how many ways the thread can be resumed in the
// present state (0: it waits). The explorer resumes it once for each way, with `chosen` = 0, 1, ...
struct Suspension {
  void* leaf = nullptr;                        // innermost coroutine
  int (*alternatives)(const void*) = nullptr;  // null: one
  const void* condition = nullptr;             // the argument of `alternatives`, in the coroutine's frame
  const char* label = "";
  std::uint64_t chosen = 0;
};

template <typename T>
class [[nodiscard]] Task;

struct PromiseBase {
  std::coroutine_handle<> continuation;

  static void* operator new(std::size_t size) { return push_frame(size); }
  static void operator delete(void* frame, std::size_t size) { pop_frame(frame, size); }

  std::suspend_always initial_suspend() noexcept { return {}; }
  struct Final {
    bool await_ready() noexcept { return false; }
    template <typename P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) noexcept {
      auto next = self.promise().continuation;
      return next ? next : std::noop_coroutine();
    }
    void await_resume() noexcept {}
  };
  Final final_suspend() noexcept { return {}; }
  [[noreturn]] void unhandled_exception() { std::terminate(); }
};

template <typename T>
struct Promise : PromiseBase {
  static_assert(std::is_trivially_copyable_v<T>);
  T value{};
  Task<T> get_return_object();
  void return_value(T v) { value = v; }
};
template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() {}
};

// A call of a modelled kernel function; runs when awaited, ends with its caller's full expression.
template <typename T>
class [[nodiscard]] Task {
 public:
  using promise_type = Promise<T>;
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) noexcept {
    handle_.promise().continuation = caller;
    return handle_;
  }
  T await_resume() {
    if constexpr (!std::is_void_v<T>) return handle_.promise().value;
  }

  // For the explorer: the outermost coroutine of a thread stays on its stack.
  void* release() { return std::exchange(handle_, {}).address(); }

 private:
  std::coroutine_handle<promise_type> handle_;
};

template <typename T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

// co_await of a Step suspends the thread; others may run before it goes on.
struct Step {
  Suspension* place;
  const char* label;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) const noexcept { *place = {self.address(), nullptr, nullptr, label, 0}; }
  void await_resume() const noexcept {}
};

// co_await of an Until suspends the thread until `condition()` is not zero. The thread then goes on in that
// many ways; co_await returns the way that the explorer chose. The condition still holds at that point.
template <typename Condition>
struct Until {
  Suspension* place;
  const char* label;
  Condition condition;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) const noexcept {
    *place = {self.address(), [](const void* c) { return static_cast<int>((*static_cast<const Condition*>(c))()); }, &condition,
              label, 0};
  }
  int await_resume() const noexcept { return static_cast<int>(place->chosen); }
};

}  // namespace faultline::ref
