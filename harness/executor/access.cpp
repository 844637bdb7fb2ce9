#include "harness/executor/access.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>

#include "harness/driver_call.h"
#include "harness/executor/meeting.h"

namespace faultline {
namespace {

struct ThreadGuard {
  sigjmp_buf point;
  volatile sig_atomic_t on = 0;
  int process = -1;
  int thread = -1;
  alignas(16) char stack[64 * 1024];  // the signal frame alone takes 11 KiB on a CPU with AMX
};

// Globals, because a signal handler has no other way to find its thread and the shared area.
thread_local ThreadGuard guard;
std::atomic<Area*> report_area{nullptr};

std::atomic<int> own_process{-1};

struct {
  std::uintptr_t begin = 0;
  std::size_t bytes = 0;
  bool end_process = false;  // faults in the regions do so
} regions;                   // set before there is a second thread

// Keeps the first signal of an iteration only. Signals that follow in other threads are often consequences.
void report(Area& area, int signal, const siginfo_t& info) {
  FatalSignal& told = area.fatal_signal;
  std::uint32_t none = 0;
  if (!told.state.compare_exchange_strong(none, 1)) return;
  told.signal = signal;
  told.process = own_process.load();
  told.thread = guard.thread;
  told.foreign = guard.process < 0;
  told.sender = info.si_code <= 0 && info.si_pid != getpid() ? info.si_pid : -1;
  // The CPU gives no address for some faults, such as one on a non-canonical address. They have SI_KERNEL.
  told.addressed = (signal == SIGSEGV || signal == SIGBUS) && info.si_code > 0 && info.si_code != SI_KERNEL;
  told.address = reinterpret_cast<std::uintptr_t>(info.si_addr);
  told.state.store(2, std::memory_order_release);
  area.finished.bump();
}

void on_fault(int signal, siginfo_t* info, void*) {
  const bool access = (signal == SIGSEGV || signal == SIGBUS) && info->si_code > 0;
  const bool in_region = access && reinterpret_cast<std::uintptr_t>(info->si_addr) - regions.begin < regions.bytes;
  // Never jump out of a driver's function, except for a fault in a region of the scenario.
  const bool expected = access && (in_region || !DriverCall::of_this_thread());
  if (guard.on != 0 && expected) {
    DriverCall::forget();
    siglongjmp(guard.point, signal);
  }
  Area* const area = report_area.load();
  if (area && in_region && regions.end_process) {
    suspect(*area, own_process.load(), Suspect::doomed);
    kill(getpid(), SIGKILL);  // do not return and let the access fault again: it might succeed by now
    for (;;) pause();
  }
  if (area) report(*area, signal, *info);
  _exit(99);
}

}  // namespace

void install_access_guard(Area& area, std::uintptr_t begin, std::size_t bytes, bool faults_end_process) {
  report_area.store(&area);
  regions = {begin, bytes, faults_end_process};
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (const int signal : crash_signals) sigaction(signal, &action, nullptr);
  // No core dump if a thread takes a signal that it blocks.
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

void enter_guarded_thread(int process, int thread) {
  guard.process = process;
  guard.thread = thread;
  guard.on = 0;
  own_process.store(process);
  if (Area* const area = report_area.load())
    DriverCall::keep_in(thread >= 0 ? area->threads[thread].call : area->processes[process].call);
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
// In assembly, so that exactly one instruction touches the cell and no sanitizer instruments it.
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
