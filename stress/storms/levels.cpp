#include "stress/storms/levels.h"

#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

namespace faultline::storms {
namespace {

using Levels = std::map<std::string, std::int64_t>;

std::string text_of(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Counters of the kernel are spread over its CPUs, and a read does not add them up.
void fold_counters() { std::ofstream("/proc/sys/vm/stat_refresh") << "1"; }

}  // namespace

void read_meminfo(std::string_view text, Levels& levels) {
  std::istringstream lines{std::string(text)};
  std::map<std::string, std::int64_t> told;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::int64_t value = 0;
    if (words >> name >> value) told[name] = value;
  }
  if (!told.contains("MemTotal:") || !told.contains("MemFree:")) return;
  levels["memory KiB"] =
      told["MemTotal:"] - told["MemFree:"] - told["Cached:"] - told["Buffers:"] - told["SwapCached:"] - told["SReclaimable:"];
  if (told.contains("SUnreclaim:")) levels["slab KiB"] = told["SUnreclaim:"];
}

void read_slabinfo(std::string_view text, Levels& levels) {
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::int64_t active = 0;
    if (!(words >> name >> active)) continue;
    if (name == "mm_struct" || name == "task_struct" || name == "vm_area_struct" || name == "anon_vma") levels[name] = active;
  }
}

void read_iomem(std::string_view text, Levels& levels) {
  std::istringstream lines{std::string(text)};
  std::uint64_t bytes = 0;
  for (std::string line; std::getline(lines, line);) {
    unsigned long long first = 0, last = 0;
    if (line.find("hmm_dmirror") != line.npos && std::sscanf(line.c_str(), " %llx-%llx", &first, &last) == 2)
      bytes += last - first + 1;
  }
  if (bytes > 0) levels["device memory MiB"] = static_cast<std::int64_t>(bytes >> 20);
}

Levels read_levels() {
  Levels levels;
  fold_counters();
  read_meminfo(text_of("/proc/meminfo"), levels);
  read_slabinfo(text_of("/proc/slabinfo"), levels);
  read_iomem(text_of("/proc/iomem"), levels);
  std::istringstream files(text_of("/proc/sys/fs/file-nr"));
  if (std::int64_t open = 0; files >> open) levels["descriptors"] = open;
  const std::string load = text_of("/proc/loadavg");  // "0.1 0.2 0.3 1/216 4711"
  if (const std::size_t slash = load.find('/'); slash != load.npos)
    levels["tasks"] = std::strtoll(load.c_str() + slash + 1, nullptr, 10);
  return levels;
}

}  // namespace faultline::storms
