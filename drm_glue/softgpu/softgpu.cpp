// softgpu: a GPU in software, for QEMU's vfio-user-pci.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "drm_glue/softgpu/firmware.h"
#include "drm_glue/softgpu/gpu.h"

namespace faultline::softgpu {
namespace {

constexpr const char* usage =
    R"(softgpu: a GPU in software, below the unmodified amdgpu driver of a virtual machine.

usage: softgpu --socket PATH [--vram SIZE] [--seed N] [--keep-with-queue] [--broken HOW] [--log FILE]
               [--firmware DIR]
       softgpu --firmware DIR

It plays a Vega20 (gfx906) with SDMA, retry faults and page tables, as a PCI device that QEMU attaches. It serves
one virtual machine, and ends with it.

  --socket PATH    waits there for QEMU (10.1 or later), which is started with
                     -object memory-backend-memfd,id=m,size=1536M,share=on -machine q35,memory-backend=m
                     -device '{"driver":"vfio-user-pci","socket":{"path":"PATH","type":"unix"}}'
  --vram SIZE      a power of two from 16M to 16G (default 256M)
  --seed N         the weather: how long engines take, when and in which order faults are told, how late a doorbell is
                   seen, which translation that is still in a TLB is used. 0, the default, is calm: nothing is late
  --keep-with-queue
                   a queue of a process that is taken away leaves the translations of its VMID in the TLB. By default
                   it takes them with it, as with a hardware scheduler, whose firmware flushes. Without one
                   (sched_policy=2) amdkfd gives queues back with other pages mapped, and flushes no TLB: they then
                   read and write the old pages (results/findings/old-translation.md)
  --broken HOW     hardware that is broken, to see whether a bench blames it or its driver:
                     skip-invalidate    every second invalidation of a process's translations is acknowledged only
                     drop-fault         every fourth access that should wait for a fault ends, and the driver is not told
                     writes-freed-page  after an invalidation, every second page gets one more write where it was
                   The log then has "hardware is to blame" at each access that went wrong
  --log FILE       what it does, one line an event: microseconds, then what. After 64 MiB it becomes FILE.1, and FILE
                   is begun anew
  --firmware DIR   writes the firmware that the driver asks for, which no engine runs: for /lib/firmware/amdgpu in
                   the virtual machine

In the virtual machine:
  modprobe amdgpu ip_block_mask=0x67 noretry=0 sched_policy=2 ras_enable=0 dpm=0 ppfeaturemask=0 gpu_recovery=0
(0xc7 with a kernel that has display code, as Debian's own). There is no PSP, no SMU and no display.

exit status: 0 the client is gone, or SIGTERM or SIGINT; 1 the client broke the protocol, or took memory away that it had
given; 2 bad usage; 4 the socket or a file could not be made
)";

struct Arguments {
  std::string socket, firmware;
  Gpu::Options gpu;
};

// "256M" in bytes; 0: no such size.
std::uint64_t size_of(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (error != std::errc() || value > Gpu::most_vram) return 0;
  if (unit == "M") return value << 20;
  if (unit == "G") return value << 30;
  return 0;
}

// What is wrong, or empty.
std::string parse(const std::vector<std::string>& words, Arguments& arguments) {
  for (std::size_t i = 0; i < words.size();) {
    const std::string& name = words[i];
    if (name == "--keep-with-queue") {
      arguments.gpu.flush_with_queue = false;
      ++i;
      continue;
    }
    if (name != "--socket" && name != "--vram" && name != "--seed" && name != "--broken" && name != "--log" &&
        name != "--firmware")
      return "unknown option '" + name + "'";
    if (i + 1 == words.size()) return name + " needs a value";
    const std::string& value = words[i + 1];
    i += 2;
    if (name == "--socket") arguments.socket = value;
    if (name == "--log") arguments.gpu.log = value;
    if (name == "--firmware") arguments.firmware = value;
    if (name == "--vram") {
      arguments.gpu.vram = size_of(value);
      if (!std::has_single_bit(arguments.gpu.vram) || arguments.gpu.vram < Gpu::least_vram || arguments.gpu.vram > Gpu::most_vram)
        return "--vram " + value + " is no power of two from 16M to 16G";
    }
    if (name == "--broken") {
      const auto* const how = std::ranges::find(broken_names, value, &BrokenName::name);
      if (how == broken_names.end()) return "--broken " + value + ": there is skip-invalidate, drop-fault and writes-freed-page";
      arguments.gpu.broken = how->broken;
    }
    if (name == "--seed") {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), arguments.gpu.seed);
      if (error != std::errc() || end != value.data() + value.size()) return "--seed " + value + " is no number";
    }
  }
  if (arguments.socket.empty() && arguments.firmware.empty()) return "--socket is missing";
  return "";
}

// Readable when the program is to end.
vfio_user::Descriptor ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  (void)signal(SIGPIPE, SIG_IGN);
  return vfio_user::Descriptor(signalfd(-1, &set, SFD_CLOEXEC));
}

// A client that makes a file shorter that it has given as memory. Which access finds that out cannot be foreseen, and QEMU's own
// files are not all sealed against it.
void memory_gone(int) {
  constexpr char words[] = "softgpu: the client took memory away that it had given (a bus error)\n";
  (void)!write(2, words, sizeof words - 1);
  _exit(1);
}

int serve(const Arguments& arguments) {
  (void)signal(SIGBUS, memory_gone);
  const vfio_user::Descriptor stop = ending_signals();
  const RealTime time;
  Gpu gpu(arguments.gpu, time);
  vfio_user::Server::End end = vfio_user::Server::End::stopped;
  const vfio_user::Descriptor listening = vfio_user::listen_at(arguments.socket.c_str());
  pollfd wait[2]{{listening.get(), POLLIN, 0}, {stop.get(), POLLIN, 0}};
  while (poll(wait, 2, -1) < 0 && errno == EINTR) {}
  if (wait[0].revents & POLLIN) {
    vfio_user::Connection connection{vfio_user::Descriptor(accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC))};
    end = gpu.server().serve(connection, stop.get());
  }
  unlink(arguments.socket.c_str());
  gpu.log()("end refused %lu %s", gpu.server().refused(), gpu.traffic().c_str());
  if (end != vfio_user::Server::End::nonsense) return 0;
  std::fprintf(stderr, "softgpu: the client sent what is no message\n");
  return 1;
}

int run(const std::vector<std::string>& words) {
  if (words.size() == 1 && (words[0] == "--help" || words[0] == "-h")) {
    std::fputs(usage, stdout);
    return 0;
  }
  Arguments arguments;
  if (const std::string wrong = parse(words, arguments); !wrong.empty()) {
    std::fprintf(stderr, "softgpu: %s (--help explains)\n", wrong.c_str());
    return 2;
  }
  if (!arguments.firmware.empty()) write_firmware(arguments.firmware);
  if (arguments.socket.empty()) return 0;
  return serve(arguments);
}

}  // namespace
}  // namespace faultline::softgpu

int main(int count, char** words) {
  try {
    return faultline::softgpu::run({words + 1, words + count});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "softgpu: %s\n", error.what());
    return 4;
  }
}
