#include <amdgpu.h>
#include <amdgpu_drm.h>
#include <errno.h>

#include <cstdio>
#include <iterator>

#include "drm_glue/gpus/ask.h"
#include "harness/in_child.h"
#include "harness/outcome.h"

namespace faultline {
namespace {

// Since v6.4. Older headers of libdrm do not define it.
constexpr std::uint64_t reset_in_progress = 1 << 5;

struct Firmware {
  unsigned type;
  const char* name;
};
constexpr Firmware firmwares[] = {{AMDGPU_INFO_FW_GFX_MEC, "MEC"}, {AMDGPU_INFO_FW_GFX_RLC, "RLC"}, {AMDGPU_INFO_FW_SDMA, "SDMA"},
                                  {AMDGPU_INFO_FW_GMC, "GMC"},     {AMDGPU_INFO_FW_SMC, "SMC"},     {AMDGPU_INFO_FW_SOS, "PSP"}};

// A value, or the negative errno of the request for it.
template <class Value>
struct Told {
  int error = 0;
  Value value{};
};

struct Answer {
  int error = 0;  // if not 0, nothing below is filled in
  Told<std::uint32_t> family;
  char name[128] = "";  // empty: libdrm has no name for the chip
  Told<std::uint64_t> vram;
  Told<std::uint32_t> firmware[std::size(firmwares)];
  Told<std::uint32_t> vram_lost;
  Told<std::uint64_t> reset_state;
};

Told<std::uint64_t> ask_reset_state(amdgpu_device_handle device) {
  Told<std::uint64_t> state;
  amdgpu_context_handle context = nullptr;
  state.error = amdgpu_cs_ctx_create(device, &context);
  if (state.error != 0) return state;
  state.error = amdgpu_cs_query_reset_state2(context, &state.value);
  amdgpu_cs_ctx_free(context);
  return state;
}

// Runs in a child: libdrm (2.4.114) crashes when the kernel gives no driver version.
Answer ask_libdrm(int render_node) {
  Answer answer;
  std::uint32_t major, minor;
  amdgpu_device_handle device = nullptr;
  answer.error = amdgpu_device_initialize(render_node, &major, &minor, &device);
  if (answer.error != 0) return answer;
  amdgpu_gpu_info info{};
  answer.family = {amdgpu_query_gpu_info(device, &info), info.family_id};
  if (const char* name = amdgpu_get_marketing_name(device)) std::snprintf(answer.name, sizeof answer.name, "%s", name);
  amdgpu_heap_info heap{};
  answer.vram.error = amdgpu_query_heap_info(device, AMDGPU_GEM_DOMAIN_VRAM, 0, &heap);
  answer.vram.value = heap.heap_size;
  for (std::size_t i = 0; i < std::size(firmwares); ++i) {
    std::uint32_t feature = 0;
    Told<std::uint32_t>& each = answer.firmware[i];
    each.error = amdgpu_query_firmware_version(device, firmwares[i].type, 0, 0, &each.value, &feature);
  }
  Told<std::uint32_t>& lost = answer.vram_lost;
  lost.error = amdgpu_query_info(device, AMDGPU_INFO_VRAM_LOST_COUNTER, sizeof lost.value, &lost.value);
  answer.reset_state = ask_reset_state(device);
  return answer;
}

bool known(Gpu& gpu, int error, const std::string& what) {
  if (error != 0) gpu.unknown.push_back(what + ": " + errno_text(-error));
  return error == 0;
}

std::string hex(std::uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%x", value);
  return text;
}

// Resets since the driver was loaded, and a reset in progress.
void tell_resets(Gpu& gpu, const Answer& answer) {
  const std::uint32_t lost = answer.vram_lost.value;
  if (known(gpu, answer.vram_lost.error, "resets"))
    gpu.resets = "VRAM lost " + std::to_string(lost) + (lost == 1 ? " time" : " times");
  if (!known(gpu, answer.reset_state.error, "reset state")) return;
  const std::string so_far = gpu.resets.empty() ? "" : gpu.resets + ", ";
  if (answer.reset_state.value & reset_in_progress) gpu.resets = so_far + "a reset goes on";
  else if (answer.reset_state.value & AMDGPU_CTX_QUERY2_FLAGS_RAS_UE) gpu.resets = so_far + "uncorrectable memory errors";
}

}  // namespace

void ask_amdgpu(Gpu& gpu, int render_node, const KernelConfig& config) {
  gpu.parameters = module_parameters("amdgpu", {"noretry", "gpu_recovery", "lockup_timeout", "vm_fault_stop",
                                                "no_system_mem_limit", "svm_default_granularity", "sched_policy"});
  gpu.configuration = options(config, {"CONFIG_HSA_AMD", "CONFIG_HSA_AMD_SVM", "CONFIG_DEVICE_PRIVATE"});
  const std::string all = "chip, VRAM, firmware, resets";
  const std::optional<Answer> answer = in_child<Answer>([&] { return ask_libdrm(render_node); });
  if (!answer) gpu.unknown.push_back(all + ": libdrm_amdgpu does not answer");
  if (!answer || !known(gpu, answer->error, all)) return;

  if (known(gpu, answer->family.error, "chip"))
    gpu.chip = answer->name[0] ? answer->name : "family " + std::to_string(answer->family.value);
  if (known(gpu, answer->vram.error, "VRAM")) gpu.vram = answer->vram.value;
  for (std::size_t i = 0; i < std::size(firmwares); ++i) {
    const Told<std::uint32_t>& each = answer->firmware[i];
    if (each.error == -EINVAL) continue;  // the chip has no such firmware, or the kernel does not know the type
    if (known(gpu, each.error, std::string(firmwares[i].name) + " firmware") && each.value != 0)
      gpu.firmware.emplace_back(firmwares[i].name, hex(each.value));
  }
  tell_resets(gpu, *answer);
}

}  // namespace faultline
