// KFD's view of an amdgpu GPU: its topology node (kfd_topology.c), and the SVM modes that a process may use.
#include <errno.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "drm_glue/gpus/ask.h"
#include "drm_glue/kfd/kfd.h"
#include "harness/in_child.h"
#include "harness/outcome.h"

namespace faultline {
namespace {

constexpr std::uint32_t svmapi_supported = 0x08000000;  // HSA_CAP_SVMAPI_SUPPORTED
const char* const topology = "/sys/devices/virtual/kfd/kfd/topology/nodes";

struct Node {
  std::uint32_t gpu = 0;  // gpu_id
  std::uint32_t capability = 0;
  unsigned target = 0;  // gfx_target_version: 90010 is 9.0.10
};

std::optional<Node> find_node(unsigned render_minor) {
  std::error_code error;
  for (std::filesystem::directory_iterator at(topology, error), end; !error && at != end; at.increment(error)) {
    std::ifstream file(at->path() / "properties");
    Node node;
    std::optional<unsigned> minor;
    std::string name;
    unsigned long long value;
    while (file >> name >> value) {
      if (name == "capability") node.capability = static_cast<std::uint32_t>(value);
      else if (name == "gfx_target_version") node.target = static_cast<unsigned>(value);
      else if (name == "drm_render_minor") minor = static_cast<unsigned>(value);
    }
    if (minor != render_minor) continue;
    node.gpu = static_cast<std::uint32_t>(std::strtoul(first_line(at->path() / "gpu_id").c_str(), nullptr, 10));
    return node;
  }
  return std::nullopt;
}

unsigned major_of(const Node& node) { return node.target / 10000; }

// "gfx90a": the stepping is a hexadecimal digit.
std::string gfx(const Node& node) {
  char text[32];
  std::snprintf(text, sizeof text, "gfx%u%u%x", major_of(node), node.target / 100 % 100, node.target % 100);
  return text;
}

// KFD_SUPPORT_XNACK_PER_PROCESS: on these chips amdgpu.noretry does not matter.
bool xnack_per_process(const Node& node) { return major_of(node) == 9 && (node.target == 90010 || node.target >= 90400); }

struct Answer {
  int opened = 0, asked = 0, xnack = 0;  // errno
  kfd::Version version;
};

// Runs in a child: KFD keeps a process structure and its XNACK mode as long as the mm lives.
Answer ask_kfd() {
  Answer answer;
  kfd::Kfd kfd;
  answer.opened = kfd.open();
  if (answer.opened != 0) return answer;
  answer.asked = kfd.version(answer.version);
  if (answer.asked == 0 && answer.version >= kfd::with_svm) answer.xnack = kfd.set_xnack(kfd::Xnack::on);
  return answer;
}

GpuSvm without_api(const Node& node, const KernelConfig& config) {
  const std::string option = "CONFIG_HSA_AMD_SVM";
  if (node.target != 0 && major_of(node) < 9) return {.why_not = gfx(node) + " is older than gfx9, the first that has SVM"};
  if (config.value(option) == "n")
    return {.why_not = "the kernel is built without " + option,
            .help = "a kernel with " + option + "=y, which needs CONFIG_DEVICE_PRIVATE=y"};
  return {.why_not = "KFD says that it has no SVM here",
          .help = config.known() ? "the kernel log tells more" : "a kernel with " + option + "=y, or its log"};
}

// kfd_process_xnack_mode() said no.
void explain_no_xnack(GpuSvm& svm, const Node& node, const Settings& parameters) {
  const auto noretry = std::ranges::find(parameters, "amdgpu.noretry", &Settings::value_type::first);
  if (major_of(node) >= 10) {
    svm.why_not = gfx(node) + " has no XNACK: KFD refuses it from gfx10 on";
  } else if (xnack_per_process(node) || (noretry != parameters.end() && noretry->second == "0")) {
    svm.why_not = "XNACK is refused although " + gfx(node) + " supports it: a process uses all GPUs, and another GPU lacks it";
    svm.help = "a container or a machine without the other GPU";
  } else {
    svm.why_not = "XNACK is off for " + gfx(node) + (noretry == parameters.end() ? "" : ": noretry=" + noretry->second);
    svm.help = "amdgpu.noretry=0 on the kernel's command line";
  }
}

}  // namespace

GpuSvm ask_amdgpu_svm(Gpu& gpu, unsigned render_minor, const KernelConfig& config) {
  struct stat status {};
  if (stat("/dev/kfd", &status) != 0 && errno == ENOENT) {
    const std::string option = "CONFIG_HSA_AMD", help = "a kernel with " + option + "=y and CONFIG_HSA_AMD_SVM=y";
    if (!config.known()) return {.why_not = "no /dev/kfd", .help = help};
    if (config.value(option) == "n") return {.why_not = "no /dev/kfd: the kernel is built without " + option, .help = help};
    return {.why_not = "no /dev/kfd", .help = "the kernel log tells why KFD did not start"};
  }
  const std::optional<Node> node = find_node(render_minor);
  if (!node)
    return {.why_not = "KFD does not drive this GPU, or does not show it to this process",
            .help = "the kernel log tells more (\"kfd: ... skipped device\"), or the container's rules for devices"};
  gpu.kfd_id = node->gpu;
  if (node->target != 0) gpu.chip += (gpu.chip.empty() ? "" : ", ") + gfx(*node);
  if (!(node->capability & svmapi_supported)) return without_api(*node, config);

  const std::optional<Answer> answer = in_child<Answer>(ask_kfd);
  if (!answer || answer->asked != 0) {
    gpu.unknown.push_back("SVM: " + (answer ? errno_text(answer->asked) : "KFD does not answer"));
    return {};
  }
  if (answer->opened != 0) return cannot_open("/dev/kfd", answer->opened);
  const auto& [major, minor] = answer->version;
  if (answer->version < kfd::with_svm)
    return {.why_not = "KFD " + std::to_string(major) + "." + std::to_string(minor) + " has no SVM",
            .help = "Linux 5.14 or newer"};
  GpuSvm svm{.recoverable = answer->xnack == 0, .preempt_and_restore = true};
  if (answer->xnack == EPERM) explain_no_xnack(svm, *node, gpu.parameters);
  else if (answer->xnack != 0) gpu.unknown.push_back("XNACK: " + errno_text(answer->xnack));
  return svm;
}

}  // namespace faultline
