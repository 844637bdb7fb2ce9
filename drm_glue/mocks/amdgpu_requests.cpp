// Drives drm_glue/amdgpu for the tests, on mocked devices. Each line of stdin names a story. The answer is one line: "ok"
// and what was seen, or an errno's name and the failed request.
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>

#include "drm_glue/amdgpu/sdma.h"
#include "drm_glue/amdgpu/svm.h"
#include "drm_glue/amdgpu/user_queue.h"
#include "harness/outcome.h"

namespace faultline::amdgpu {
namespace {

using Words = std::istringstream;

// Anonymous pages of this process, with the value in the first word of each. They are at a fixed address that nothing
// else uses, so that an unmapped page stays unmapped.
class Pages {
 public:
  Pages(std::size_t count, std::uint64_t value) : bytes_(count * page_bytes) {
    at_ = mmap(reinterpret_cast<void*>(std::uintptr_t{1} << 45), bytes_, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (at_ == MAP_FAILED) throw Failure("mmap", errno);
    for (std::size_t i = 0; i < count; ++i) word(i) = value;
  }
  ~Pages() { munmap(at_, bytes_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  volatile std::uint64_t& word(std::size_t page) {
    return *reinterpret_cast<volatile std::uint64_t*>(static_cast<std::byte*>(at_) + page * page_bytes);
  }
  void* at() { return at_; }
  std::uintptr_t address(std::size_t page) { return reinterpret_cast<std::uintptr_t>(at_) + page * page_bytes; }

 private:
  void* at_;
  std::size_t bytes_;
};

// Copies one page to another, or its first word with a stop in VRAM.
std::string copy(const std::string& node, bool through_vram) {
  Pages pages(2, 41);
  pages.word(1) = 0;
  Device device(node);
  Sdma sdma(device);
  const UserPage from(device, pages.address(0), UserPage::Access::read);
  const UserPage to(device, pages.address(1), UserPage::Access::write);
  if (through_vram) {
    const Buffer stop(device, Buffer::Where::vram);
    sdma.copy(stop.address(), from.address(), 8, std::array{stop.handle(), from.handle()});
    sdma.copy(to.address(), stop.address(), 8, std::array{stop.handle(), to.handle()});
  } else {
    sdma.copy(to.address(), from.address(), page_bytes, std::array{from.handle(), to.handle()});
  }
  return " " + std::to_string(pages.word(1));
}

// The word that the job has read, or its error.
std::string load(Sdma& sdma, const UserPage& page) try {
  sdma.copy(sdma.word_address(), page.address(), 8, std::array{page.handle()});
  return std::to_string(sdma.word());
} catch (const Failure& failure) {
  return errno_text(failure.error());
}

// What a job says of a BO of a page before and after munmap().
std::string unmapped(const std::string& node) {
  Pages pages(1, 7);
  Device device(node);
  Sdma sdma(device);
  const UserPage page(device, pages.address(0), UserPage::Access::read);
  const std::string before = load(sdma, page);
  munmap(pages.at(), page_bytes);
  return " " + before + " " + load(sdma, page);
}

std::string history(SvmProcess& svm, std::uintptr_t address) {
  PageHistory history;
  if (const int error = svm.history(address, history)) return errno_text(error);
  return (history.events.empty() ? "-" : history.events) + (history.gap.empty() ? "" : " (" + history.gap + ")");
}

// Migrates two pages to the GPU, changes the second one's protection, migrates the first one back, unmaps both.
std::string migrate(const std::string& node, std::uint32_t gpu, kfd::Xnack mode) {
  std::optional<Pages> pages(std::in_place, 2, 7);
  SvmProcess svm(gpu, node);
  if (const int error = svm.open(mode)) throw Failure("SvmProcess::open", error);
  svm.forget_history();
  const std::uintptr_t first = pages->address(0), second = pages->address(1);
  if (const int error = svm.migrate(first, 2 * page_bytes, true)) throw Failure("to the GPU", error);
  mprotect(reinterpret_cast<void*>(second), page_bytes, PROT_READ);
  usleep(20'000);
  if (const int error = svm.migrate(first, page_bytes, false)) throw Failure("to system memory", error);
  usleep(20'000);
  pages.reset();
  const std::string of_first = history(svm, first);
  return " " + of_first + " " + history(svm, second);
}

// Copies a word from one page of the process to another with a queue of the process's own, a few times round its ring. Then what
// KFD says of the pages.
std::string queue(const std::string& node, std::uint32_t gpu, kfd::Xnack mode) {
  Pages pages(2, 41);
  const Device device(node);
  SvmProcess svm(gpu, node);
  if (const int error = svm.open(mode)) throw Failure("SvmProcess::open", error);
  UserQueue queue(svm, device.family());
  for (const std::size_t page : {0, 1})
    if (const int error = svm.give_access(pages.address(page))) throw Failure("give_access", error);
  pages.word(0) = 1099;  // once: 6.1 does not survive a CPU and a GPU that take a page from each other
  for (int i = 0; i < 100; ++i) queue.copy(pages.address(1), pages.address(0), 8);
  kfd_ioctl_svm_attribute wanted[] = {{KFD_IOCTL_SVM_ATTR_PREFETCH_LOC, 0}, {KFD_IOCTL_SVM_ATTR_ACCESS, gpu}};
  if (const int error = svm.kfd().get_attributes(pages.address(0), page_bytes, wanted)) throw Failure("get_attributes", error);
  return " " + std::to_string(pages.word(1)) + " " + std::to_string(wanted[0].value) + " " + std::to_string(wanted[1].type);
}

std::string reset_state(const std::string& node) {
  Device device(node);
  const std::string words = Sdma(device).resets();
  return words.empty() ? " none" : " " + words;
}

// Leaks: the number of VMAs of GPU memory, and of descriptors other than umockdev's sockets.
std::string left() {
  int mappings = 0, descriptors = 0;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) mappings += line.find("/gem/") != std::string::npos;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the loop's own descriptor may be closed by now
    descriptors += !std::filesystem::read_symlink(each, gone).string().starts_with("socket:");
  }
  return " " + std::to_string(mappings) + " " + std::to_string(descriptors);
}

std::string run(Words& words) {
  std::string name, node, what;
  words >> name;
  if (name == "left") return left();
  words >> node;
  if (name == "copy") return copy(node, false);
  if (name == "copy-through-vram") return copy(node, true);
  if (name == "unmapped") return unmapped(node);
  if (name == "reset-state") return reset_state(node);
  std::uint32_t gpu = 0;
  words >> what;
  if (name == "migrate" && words >> gpu) return migrate(node, gpu, what == "on" ? kfd::Xnack::on : kfd::Xnack::off);
  if (name == "queue" && words >> gpu) return queue(node, gpu, what == "on" ? kfd::Xnack::on : kfd::Xnack::off);
  throw std::invalid_argument("no such story: " + name);
}

}  // namespace
}  // namespace faultline::amdgpu

int main() {
  try {
    for (std::string line; std::getline(std::cin, line);) {
      std::istringstream words(line);
      try {
        std::cout << "ok" + faultline::amdgpu::run(words) << std::endl;
      } catch (const faultline::amdgpu::Failure& failure) {
        std::cout << faultline::errno_text(failure.error()) << " " << failure.what() << std::endl;
      }
    }
  } catch (const std::exception& error) {
    std::cerr << "amdgpu-requests: " << error.what() << "\n";
    return 2;
  }
}
