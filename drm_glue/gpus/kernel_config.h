// How the running kernel was built: /proc/config.gz, else the file that distributions put beside it.
#pragma once

#include <string>

namespace faultline {

class KernelConfig {
 public:
  // Of this machine. Nothing is known where there is no file.
  static KernelConfig read();
  explicit KernelConfig(const std::string& text = "") : text_(text.empty() ? "" : "\n" + text) {}

  bool known() const { return !text_.empty(); }
  // "y", "m", "n" (not set, or not there), or what stands behind '='; "" where nothing is known.
  std::string value(const std::string& option) const;

 private:
  std::string text_;
};

}  // namespace faultline
