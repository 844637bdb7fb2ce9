// The running kernel's configuration: /proc/config.gz, else /boot/config-RELEASE, as distributions install it.
#pragma once

#include <string>

namespace faultline {

class KernelConfig {
 public:
  // Of this machine. Nothing is known if neither file is there.
  static KernelConfig read();
  explicit KernelConfig(const std::string& text = "") : text_(text.empty() ? "" : "\n" + text) {}

  bool known() const { return !text_.empty(); }
  // "y", "m", "n" (not set, or absent), or the text after '='; "" if nothing is known.
  std::string value(const std::string& option) const;

 private:
  std::string text_;
};

}  // namespace faultline
