#include "drm_glue/gpus/kernel_config.h"

#include <sys/utsname.h>
#include <zlib.h>

#include <memory>

namespace faultline {
namespace {

// A file, gzipped or not; "" if it cannot be read to its end.
std::string contents(const std::string& path) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rbe"), gzclose);
  if (!file) return "";
  constexpr std::size_t most = 4 << 20;  // distributions' files have a quarter of a megabyte
  std::string text;
  char buffer[16384];
  int got;
  while ((got = gzread(file.get(), buffer, sizeof buffer)) > 0 && text.size() < most)
    text.append(buffer, static_cast<std::size_t>(got));
  return got == 0 ? text : "";
}

}  // namespace

KernelConfig KernelConfig::read() {
  std::string text = contents("/proc/config.gz");
  utsname kernel{};
  if (text.empty() && uname(&kernel) == 0) text = contents(std::string("/boot/config-") + kernel.release);
  return KernelConfig(text);
}

std::string KernelConfig::value(const std::string& option) const {
  if (!known()) return "";
  const std::string line = "\n" + option + "=";
  const std::size_t found = text_.find(line);
  if (found == std::string::npos) return "n";
  const std::size_t from = found + line.size();
  return text_.substr(from, text_.find('\n', from) - from);
}

}  // namespace faultline
