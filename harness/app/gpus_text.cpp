#include "harness/app/gpus_text.h"

#include <cstdio>

#include "harness/run/report.h"

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
  const bool xnack = svm.recoverable && svm.preempt_and_restore;  // a process chooses
  std::string text;
  if (svm.recoverable) text = std::string("faults are resolved while queues run") + (xnack ? " (XNACK on); " : "; ");
  if (svm.preempt_and_restore) text += std::string("queues are stopped and restored") + (xnack ? " (XNACK off); " : "; ");
  if (text.empty()) text = svm.why_not.empty() ? "not known; " : "none; ";
  return text + (svm.why_not.empty() ? "" : svm.why_not + "; ");
}

std::string block(const Gpu& gpu) {
  std::string text = "GPU " + (gpu.bus.empty() ? gpu.render_node : printable(gpu.bus)) + "  ";
  if (gpu.vendor != 0) text += vendor_name(gpu) + hex(gpu.vendor, 4) + ":" + hex(gpu.device, 4) + " rev " + hex(gpu.revision, 2);
  if (!gpu.chip.empty()) text += ", " + printable(gpu.chip);
  if (gpu.vram) text += ", " + std::to_string(*gpu.vram >> 20) + " MiB";
  text += "\n";
  const auto line = [&text](const char* what, const std::string& words) {
    if (!words.empty()) text += std::string("  ") + what + words + "\n";
  };
  line("", (gpu.driver.empty() ? "no driver" : printable(gpu.driver)) +
               (gpu.driver_version.empty() ? "" : " " + gpu.driver_version) +
               (gpu.render_node.empty() ? "" : " on " + gpu.render_node) +
               (gpu.card_node.empty() ? "" : " and " + gpu.card_node));
  const std::string svm = svm_text(gpu);
  line("SVM: ", svm.substr(0, svm.size() - 2));
  line("  would help: ", gpu.svm.help);
  line("firmware: ", joined(gpu.firmware));
  line("parameters: ", joined(gpu.parameters));
  line("kernel: ", joined(gpu.configuration));
  line("resets: ", gpu.resets);
  for (const std::string& each : gpu.unknown) line("not known: ", each);
  return text;
}

}  // namespace

std::string gpus_text(const GpuList& list) {
  if (list.gpus.empty()) return "no GPU here: " + list.why_none + "\n";
  std::string text;
  for (const Gpu& gpu : list.gpus) text += block(gpu);
  return text;
}

}  // namespace faultline::app
