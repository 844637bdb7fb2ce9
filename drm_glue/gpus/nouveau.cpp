#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xf86drm.h>
#define class class_
#include <nouveau_drm.h>
#undef class

#include <cstdio>

#include "drm_glue/gpus/ask.h"
#include "drm_glue/nouveau/svm.h"
#include "harness/in_child.h"
#include "harness/outcome.h"

namespace faultline {
namespace {

struct Family {
  std::uint64_t first;
  const char* name;
};
constexpr std::uint64_t pascal = 0x130, volta = 0x140;
// As in nvkm_device_ctor(), by the chipset's upper digits.
constexpr Family families[] = {{0x1a0, "Blackwell"}, {0x190, "Ada"},   {0x180, "Hopper"},  {0x170, "Ampere"},
                               {0x160, "Turing"},    {volta, "Volta"}, {pascal, "Pascal"}, {0x110, "Maxwell"},
                               {0x0e0, "Kepler"},    {0x0c0, "Fermi"}, {0x050, "Tesla"}};

std::string chip_name(std::uint64_t chipset) {
  char name[32];
  std::snprintf(name, sizeof name, "NV%02llX", static_cast<unsigned long long>(chipset));
  for (const Family& family : families)
    if (chipset >= family.first) return std::string(name) + " (" + family.name + ")";
  return name;
}

// DRM_NOUVEAU_GETPARAM
std::optional<std::uint64_t> parameter(Gpu& gpu, int render_node, std::uint64_t number, const char* name) {
  drm_nouveau_getparam args{.param = number};
  const int error = -drmCommandWriteRead(render_node, DRM_NOUVEAU_GETPARAM, &args, sizeof args);
  if (error == 0) return args.value;
  gpu.unknown.push_back(std::string(name) + ": " + errno_text(error));
  return std::nullopt;
}

// Runs in a child: gives the errno of init_svm().
int try_svm(const std::string& node) {
  int fd;
  do fd = open(node.c_str(), O_RDWR | O_CLOEXEC);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return errno;
  constexpr std::size_t bytes = std::size_t{1} << 30;
  void* hole = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (hole == MAP_FAILED) return errno;
  return nouveau::init_svm(fd, reinterpret_cast<std::uintptr_t>(hole), bytes);
}

GpuSvm without_svm(const Gpu& gpu, std::optional<std::uint64_t> chipset, const KernelConfig& config) {
  const std::string option = "CONFIG_DRM_NOUVEAU_SVM";
  if (chipset && *chipset < pascal)
    return {.why_not = gpu.chip + " is older than Pascal: its faults cannot be replayed", .help = "a GPU with a Pascal chip"};
  if (chipset && *chipset >= volta)
    return {.why_not = gpu.chip +
                       " is newer than Pascal: nouveau switches SVM off until channels can be recovered "
                       "(nouveau_svm_init)",
            .help = "a GPU with a Pascal chip"};
  if (config.value(option) == "n")
    return {.why_not = "the kernel is built without " + option,
            .help = "a kernel with " + option + "=y, which needs CONFIG_DEVICE_PRIVATE and CONFIG_STAGING"};
  if (config.known() && chipset) return {.why_not = "the driver could not set SVM up", .help = "the kernel log tells more"};
  return {.why_not = "the kernel has no SVM for this chip", .help = option + "=y and a Pascal chip are needed"};
}

}  // namespace

void ask_nouveau(Gpu& gpu, int render_node, const KernelConfig& config) {
  gpu.parameters = module_parameters("nouveau", {"config", "debug", "modeset", "runpm"});
  gpu.configuration = options(config, {"CONFIG_DRM_NOUVEAU_SVM", "CONFIG_DEVICE_PRIVATE"});
  const std::optional<std::uint64_t> chipset = parameter(gpu, render_node, NOUVEAU_GETPARAM_CHIPSET_ID, "chip");
  if (chipset) gpu.chip = chip_name(*chipset);
  gpu.vram = parameter(gpu, render_node, NOUVEAU_GETPARAM_FB_SIZE, "VRAM");

  const std::optional<int> error = in_child<int>([&] { return try_svm(gpu.render_node); });
  if (error == 0) gpu.svm.recoverable = true;
  else if (error == ENOSYS) gpu.svm = without_svm(gpu, chipset, config);
  else gpu.unknown.push_back("SVM: " + (error ? errno_text(*error) : "the driver does not answer"));
}

}  // namespace faultline
