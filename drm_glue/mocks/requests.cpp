// Drives drm_glue's requests for the tests, on mocked devices. Each line of stdin is a request. The answer is one line:
// "ok" or an errno's name, then what the kernel gave.
#include <fcntl.h>
#include <unistd.h>
#include <xf86drm.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "drm_glue/gpus/gpu.h"
#include "drm_glue/health/gpu_watch.h"
#include "drm_glue/kfd/kfd.h"
#include "drm_glue/kfd/smi_event.h"
#include "drm_glue/nouveau/svm.h"
#include "harness/outcome.h"

namespace faultline {
namespace {

using Words = std::istringstream;

std::uint64_t number(Words& words) {
  std::string word;
  if (!(words >> word)) throw std::invalid_argument("a number is missing");
  return std::stoull(word, nullptr, 0);
}

std::vector<kfd_ioctl_svm_attribute> attributes(Words& words) {
  std::vector<kfd_ioctl_svm_attribute> result;
  while (words >> std::ws && !words.eof()) {
    const auto type = static_cast<std::uint32_t>(number(words));
    result.push_back({type, static_cast<std::uint32_t>(number(words))});
  }
  return result;
}

class Requests {
 public:
  // Returns the errno; the kernel's answer is in `answer_`.
  std::string run(const std::string& line) {
    Words words(line);
    std::string name;
    words >> name;
    const auto found = table_.find(name);
    if (found == table_.end()) throw std::invalid_argument("unknown request '" + name + "'");
    answer_.str("");
    const int error = found->second(words);
    return errno_text(error) + answer_.str();
  }

 private:
  int version() {
    kfd::Version version;
    const int error = kfd_.version(version);
    if (error == 0) answer_ << " " << version.major << "." << version.minor;
    return error;
  }

  int apertures() {
    std::vector<kfd_process_device_apertures> all;
    const int error = kfd_.apertures(all);
    for (const auto& each : all)
      answer_ << " " << std::hex << each.gpu_id << ":" << each.gpuvm_base << "-" << each.gpuvm_limit << std::dec;
    return error;
  }

  int xnack(Words& words) {
    std::string wanted;
    if (words >> wanted) return kfd_.set_xnack(wanted == "on" ? kfd::Xnack::on : kfd::Xnack::off);
    kfd::Xnack mode{};
    const int error = kfd_.xnack(mode);
    if (error == 0) answer_ << (mode == kfd::Xnack::on ? " on" : " off");
    return error;
  }

  int svm_get(Words& words) {
    const std::uint64_t address = number(words), bytes = number(words);
    std::vector<kfd_ioctl_svm_attribute> wanted = attributes(words);
    const int error = kfd_.get_attributes(address, bytes, wanted);
    if (error == 0)
      for (const auto& each : wanted) answer_ << " " << each.type << "=" << std::hex << each.value << std::dec;
    return error;
  }

  // Reads all pending events of the descriptor from open_events: their kinds, and the gap.
  int events() {
    char buffer[kfd::SmiStream::kernel_buffer];
    ssize_t got;
    while ((got = read(events_, buffer, sizeof buffer)) > 0) stream_.feed({buffer, static_cast<std::size_t>(got)});
    for (const kfd::SmiEvent& each : stream_.take()) answer_ << " " << static_cast<unsigned>(each.kind);
    if (!stream_.gap().empty()) answer_ << " gap: " << stream_.gap();
    return 0;
  }

  int render_node(Words& words) {
    std::string path;
    words >> path;
    node_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (node_ < 0) return errno;
    const std::unique_ptr<drmVersion, void (*)(drmVersion*)> version(drmGetVersion(node_), drmFreeVersion);
    if (!version) return errno;
    answer_ << " " << version->name << " " << version->version_major << "." << version->version_minor << "."
            << version->version_patchlevel;
    return 0;
  }

  // Open descriptors except sockets: umockdev uses sockets, and leaks one when a node cannot be opened.
  static int descriptors() {
    int count = 0;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;  // the loop's own descriptor may be closed by now
      count += !std::filesystem::read_symlink(each, gone).string().starts_with("socket:");
    }
    return count;
  }

  int tell(const std::vector<GpuWatch::Report>& reports) {
    answer_ << " " << nlohmann::json(reports).dump();
    return 0;
  }

  int node_ = -1;
  GpuWatch watch_;
  kfd::Kfd kfd_;
  kfd::SmiStream stream_;
  int events_ = -1;
  std::ostringstream answer_;
  const std::map<std::string, std::function<int(Words&)>> table_{
      {"open", [this](Words&) { return kfd_.open(); }},
      {"version", [this](Words&) { return version(); }},
      {"apertures", [this](Words&) { return apertures(); }},
      {"acquire-vm",
       [this](Words& w) {
         const auto gpu = static_cast<std::uint32_t>(number(w));
         return kfd_.acquire_vm(gpu, static_cast<int>(number(w)));
       }},
      {"xnack", [this](Words& w) { return xnack(w); }},
      {"svm-set",
       [this](Words& w) {
         const std::uint64_t address = number(w), bytes = number(w);
         return kfd_.set_attributes(address, bytes, attributes(w));
       }},
      {"svm-get", [this](Words& w) { return svm_get(w); }},
      {"open-events",
       [this](Words& w) {
         const auto gpu = static_cast<std::uint32_t>(number(w));
         return kfd_.open_events(gpu, number(w), events_);
       }},
      {"events", [this](Words&) { return events(); }},
      {"gpus",
       [this](Words&) {
         answer_ << " " << gpus_json(list_gpus()).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
         return 0;
       }},
      // A shell command that changes the machine in between.
      {"sh",
       [](Words& w) {
         std::string command;
         std::getline(w, command);
         return std::system(command.c_str()) == 0 ? 0 : ECANCELED;
       }},
      {"watch",
       [this](Words& w) {
         std::vector<std::string> gpus;
         for (std::string bus; w >> bus;) gpus.push_back(bus);
         watch_.begin(gpus);
         answer_ << " " << watch_.gone(gpus);
         return 0;
       }},
      {"log",
       [this](Words& w) {
         std::string line;
         std::getline(w >> std::ws, line);
         watch_.line(line);
         return 0;
       }},
      {"reports", [this](Words&) { return tell(watch_.reports()); }},
      {"words", [this](Words&) { return tell({watch_.words()}); }},
      {"ended", [this](Words&) { return tell(watch_.end()); }},
      {"descriptors",
       [this](Words&) {
         answer_ << " " << descriptors();
         return 0;
       }},
      {"render-node", [this](Words& w) { return render_node(w); }},
      {"init-svm",
       [this](Words& w) {
         const std::uint64_t address = number(w);
         return nouveau::init_svm(node_, address, number(w));
       }},
      {"migrate-to-vram",
       [this](Words& w) {
         const std::uint64_t address = number(w);
         return nouveau::migrate_to_vram(node_, address, number(w));
       }},
  };
};

}  // namespace
}  // namespace faultline

int main() {
  faultline::Requests requests;
  std::string line;
  try {
    while (std::getline(std::cin, line)) std::cout << requests.run(line) << std::endl;
  } catch (const std::exception& error) {
    std::cerr << "drm-requests: " << error.what() << "\n";
    return 2;
  }
}
