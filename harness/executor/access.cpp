#include "harness/executor/access.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>

#include "harness/executor/meeting.h"

namespace faultline {
namespace {

struct ThreadGuard {
  sigjmp_buf point;
  volatile sig_atomic_t on = 0;
  int process = -1;
  int thread = -1;
  alignas(16) char stack[64 * 1024];  // the frame alone takes 11 KiB where the CPU has AMX
};

// A signal handler has no other way to its thread and to the results area.
thread_local ThreadGuard guard;
std::atomic<Area*> report_area{nullptr};

struct {
  int process = -1;
  std::uintptr_t begin = 0;
  std::size_t bytes = 0;
} device_faults;  // set before there is a second thread

void on_fault(int signal, siginfo_t* info, void*) {
  if (guard.on != 0) siglongjmp(guard.point, signal);
  Area* const area = report_area.load();
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  if (area && address - device_faults.begin < device_faults.bytes) {
    suspect(*area, device_faults.process, Suspect::doomed);
    kill(getpid(), SIGKILL);  // by itself: the access may go well by now
    for (;;) pause();
  }
  if (area) report_bench_error(*area, "unexpected signal", guard.process, guard.thread, signal);
  _exit(99);
}

}  // namespace

void install_access_guard(Area& area) {
  report_area.store(&area);
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) sigaction(signal, &action, nullptr);
}

void end_process_at_device_faults(int process, std::uintptr_t begin, std::size_t bytes) {
  device_faults = {process, begin, bytes};
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

void enter_guarded_thread(int process, int thread) {
  guard.process = process;
  guard.thread = thread;
  guard.on = 0;
  stack_t stack{};
  stack.ss_sp = guard.stack;
  stack.ss_size = sizeof guard.stack;
  sigaltstack(&stack, nullptr);
}

void leave_guarded_thread() {
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  sigaltstack(&none, nullptr);
}

namespace detail {
sigjmp_buf& guard_point() { return guard.point; }
void set_guard(bool on) {
  guard.on = on ? 1 : 0;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}
}  // namespace detail

#if defined(__x86_64__)
// In assembly: exactly one instruction touches the cell, and no sanitizer looks at it.
std::uint64_t cpu_load(std::uintptr_t address) {
  std::uint64_t value;
  asm volatile("mfence\n\tmov (%1), %0\n\tmfence" : "=r"(value) : "r"(address) : "memory");
  return value;
}
void cpu_store(std::uintptr_t address, std::uint64_t value) {
  asm volatile("mfence\n\tmov %1, (%0)\n\tmfence" : : "r"(address), "r"(value) : "memory");
}
#else
std::uint64_t cpu_load(std::uintptr_t address) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const std::uint64_t value = *reinterpret_cast<const volatile std::uint64_t*>(address);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return value;
}
void cpu_store(std::uintptr_t address, std::uint64_t value) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  *reinterpret_cast<volatile std::uint64_t*>(address) = value;
  std::atomic_thread_fence(std::memory_order_seq_cst);
}
#endif

}  // namespace faultline
