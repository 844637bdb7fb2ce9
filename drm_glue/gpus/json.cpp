#include <nlohmann/json.hpp>

#include "drm_glue/gpus/gpu.h"

namespace faultline {
namespace {

using nlohmann::json;

json object(const Settings& settings) {
  json result = json::object();
  for (const auto& [name, value] : settings) result[name] = value;
  return result;
}

json to_json(const Gpu& gpu) {
  json svm = json::array();
  if (gpu.svm.recoverable) svm.push_back("recoverable");
  if (gpu.svm.preempt_and_restore) svm.push_back("preempt-and-restore");
  return {{"render_node", gpu.render_node}, {"card_node", gpu.card_node}, {"bus", gpu.bus}, {"vendor", gpu.vendor},
          {"device", gpu.device}, {"revision", gpu.revision}, {"driver", gpu.driver},
          {"driver_version", gpu.driver_version}, {"chip", gpu.chip}, {"vram", gpu.vram ? json(*gpu.vram) : json()},
          {"firmware", object(gpu.firmware)}, {"parameters", object(gpu.parameters)},
          {"kernel_config", object(gpu.configuration)}, {"resets", gpu.resets}, {"svm", svm},
          {"why_not", gpu.svm.why_not}, {"help", gpu.svm.help}, {"unknown", gpu.unknown}};
}

}  // namespace

json gpus_json(const GpuList& list) {
  json all = json::array();
  for (const Gpu& gpu : list.gpus) all.push_back(to_json(gpu));
  return all;
}

}  // namespace faultline
