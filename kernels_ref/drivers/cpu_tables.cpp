// Devices that use the CPU's own page tables: coherent devices, and an OpenCL driver that runs on the CPU. Once the file is
// open, an access is the same as one by a CPU thread. The open file has no state.
#include <cerrno>

#include "kernels_ref/drivers/driver.h"
#include "kernels_ref/mm/fault.h"
#include "kernels_ref/mm/fork_exit.h"

namespace faultline::ref {

namespace {

Task<void> open(Cpu cpu, MirrorId) { co_await cpu.step("open"); }

Task<Result> load(Cpu cpu, MirrorId opener, Slot slot) {
  co_await cpu.step("device");
  if (!holds_file(cpu, opener)) co_return failed(EBADF);
  co_return co_await cpu_load(cpu, slot);
}

Task<Result> store(Cpu cpu, MirrorId opener, Slot slot, int value) {
  co_await cpu.step("device");
  if (!holds_file(cpu, opener)) co_return failed(EBADF);
  co_return co_await cpu_store(cpu, slot, value);
}

constexpr Driver coherent{.ops = {.open = open, .load = load, .store = store}};
constexpr Driver fatal{.ops = {.faults_kill = true, .open = open, .load = load, .store = store}};

}  // namespace

template <>
const Driver& driver<DeviceClass::shares_cpu_tables>() {
  return coherent;
}
template <>
const Driver& driver<DeviceClass::fatal_faults>() {
  return fatal;
}

}  // namespace faultline::ref
