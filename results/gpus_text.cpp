#include "results/gpus_text.h"

#include <cstdio>

#include "results/report.h"

namespace faultline::app {
namespace {

std::string hex(unsigned value, int digits) {
  char text[16];
  std::snprintf(text, sizeof text, "%0*x", digits, value);
  return text;
}

std::string vendor_name(const Gpu& gpu) {
  switch (gpu.vendor) {
    case 0x1002: return "AMD ";
    case 0x10de: return "NVIDIA ";
    case 0x8086: return "Intel ";
    default: return "";
  }
}

std::string joined(const Settings& settings) {
  std::string text;
  for (const auto& [name, value] : settings) text += (text.empty() ? "" : ", ") + name + "=" + printable(value);
  return text;
}

std::string svm_text(const Gpu& gpu) {
  const GpuSvm& svm = gpu.svm;
  const bool xnack = svm.recoverable && svm.preempt_and_restore;  // each process chooses one
  std::string text;
  if (svm.recoverable) text = std::string("faults are resolved while queues run") + (xnack ? " (XNACK on); " : "; ");
  if (svm.preempt_and_restore) text += std::string("queues are stopped and restored") + (xnack ? " (XNACK off); " : "; ");
  if (text.empty()) text = svm.why_not.empty() ? "not known; " : "none; ";
  return text + (svm.why_not.empty() ? "" : svm.why_not + "; ");
}

std::string block(const std::string& place, const Gpu& gpu) {
  std::string known;
  const auto add = [&known](const std::string& words) { known += (known.empty() ? "" : ", ") + words; };
  if (gpu.vendor != 0) add(vendor_name(gpu) + hex(gpu.vendor, 4) + ":" + hex(gpu.device, 4) + " rev " + hex(gpu.revision, 2));
  if (!gpu.chip.empty()) add(printable(gpu.chip));
  if (gpu.vram) add(std::to_string(*gpu.vram >> 20) + " MiB");
  std::string text = "GPU " + (place.empty() ? "" : place + ":") + (gpu.bus.empty() ? gpu.render_node : printable(gpu.bus)) +
                     (known.empty() ? "" : "  " + known) + "\n";
  const auto line = [&text](const char* what, const std::string& words) {
    if (!words.empty()) text += std::string("  ") + what + words + "\n";
  };
  const std::string nameless = gpu.render_node.empty() ? "no driver" : "a driver";
  line("",
       (gpu.driver.empty() ? nameless : printable(gpu.driver)) + (gpu.driver_version.empty() ? "" : " " + gpu.driver_version) +
           (gpu.render_node.empty() ? "" : " on " + gpu.render_node) + (gpu.card_node.empty() ? "" : " and " + gpu.card_node));
  const std::string svm = svm_text(gpu);
  line("SVM: ", svm.substr(0, svm.size() - 2));
  line("  would help: ", gpu.svm.help);
  line("firmware: ", joined(gpu.firmware));
  line("parameters: ", joined(gpu.parameters));
  line("kernel: ", joined(gpu.configuration));
  line("resets: ", gpu.resets);
  if (gpu.power == "suspended") line("power: ", "suspended; the first request wakes it");
  if (gpu.power == "error") line("power: ", "error; it cannot be woken, the kernel log tells more");
  for (const std::string& each : gpu.unknown) line("not known: ", each);
  return text;
}

}  // namespace

std::string gpus_text(const std::string& place, const GpuList& list) {
  if (list.gpus.empty()) return "no GPU " + (place.empty() ? "here" : "in " + place) + ": " + printable(list.why_none) + "\n";
  std::string text;
  for (const Gpu& gpu : list.gpus) text += block(place, gpu);
  return text;
}

}  // namespace faultline::app
