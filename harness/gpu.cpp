#include "harness/gpu.h"

#include <nlohmann/json.hpp>

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
  return {{"render_node", gpu.render_node},
          {"card_node", gpu.card_node},
          {"bus", gpu.bus},
          {"vendor", gpu.vendor},
          {"device", gpu.device},
          {"revision", gpu.revision},
          {"driver", gpu.driver},
          {"driver_version", gpu.driver_version},
          {"chip", gpu.chip},
          {"vram", gpu.vram ? json(*gpu.vram) : json()},
          {"firmware", object(gpu.firmware)},
          {"parameters", object(gpu.parameters)},
          {"kernel_config", object(gpu.configuration)},
          {"resets", gpu.resets},
          {"power", gpu.power},
          {"kfd_id", gpu.kfd_id},
          {"svm", svm},
          {"why_not", gpu.svm.why_not},
          {"help", gpu.svm.help},
          {"unknown", gpu.unknown}};
}

Settings parse_settings(const json& object) {
  Settings result;
  for (const auto& [name, value] : object.items()) result.emplace_back(name, value.get<std::string>());
  return result;
}

Gpu parse_gpu(const json& object) {
  const auto text = [&](const char* key) { return object.at(key).get<std::string>(); };
  Gpu gpu{.render_node = text("render_node"),
          .card_node = text("card_node"),
          .bus = text("bus"),
          .vendor = object.at("vendor").get<std::uint16_t>(),
          .device = object.at("device").get<std::uint16_t>(),
          .revision = object.at("revision").get<std::uint8_t>(),
          .driver = text("driver"),
          .driver_version = text("driver_version"),
          .chip = text("chip"),
          .firmware = parse_settings(object.at("firmware")),
          .parameters = parse_settings(object.at("parameters")),
          .configuration = parse_settings(object.at("kernel_config")),
          .resets = text("resets"),
          .power = text("power"),
          .kfd_id = object.at("kfd_id").get<std::uint32_t>(),
          .svm = {.why_not = text("why_not"), .help = text("help")},
          .unknown = object.at("unknown").get<std::vector<std::string>>()};
  if (const json& vram = object.at("vram"); !vram.is_null()) gpu.vram = vram.get<std::uint64_t>();
  for (const json& word : object.at("svm")) {
    gpu.svm.recoverable |= word == "recoverable";
    gpu.svm.preempt_and_restore |= word == "preempt-and-restore";
  }
  return gpu;
}

}  // namespace

std::vector<Gpu> parse_gpus(const json& array) {
  std::vector<Gpu> gpus;
  for (const json& object : array) gpus.push_back(parse_gpu(object));
  return gpus;
}

json gpus_json(const GpuList& list) {
  json all = json::array();
  for (const Gpu& gpu : list.gpus) all.push_back(to_json(gpu));
  return all;
}

}  // namespace faultline
