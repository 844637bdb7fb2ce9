#include "drm_glue/health/driver_functions.h"

#include <map>
#include <string_view>

namespace faultline {
namespace {

// lib/test_hmm.c. The first and the third are only called through pointers, so no call of them is inlined.
const DriverFunction test_hmm[] = {
    {{"dmirror_interval_invalidate"}, "invalidations"},
    {{"dmirror_fault"}, "device faults"},
    {{"dmirror_devmem_fault"}, "CPU faults on device memory"},
    {{"dmirror_migrate_to_device", "dmirror_migrate"}, "migrations to the device"},
    {{"dmirror_migrate_to_system"}, "migrations to system memory"},
};

// nouveau_svm.c, nouveau_dmem.c, from 6.1 to 6.12. A fault buffer holds many faults. Those of the same instance and
// window become one call of nouveau_range_fault().
const DriverFunction nouveau[] = {
    {{"nouveau_svmm_invalidate_range_start"}, "invalidations"},
    {{"nouveau_svm_range_invalidate"}, "invalidations of what is being faulted in"},
    {{"nouveau_svm_fault"}, "fault buffers read"},
    {{"nouveau_range_fault"}, "device faults"},
    {{"nouveau_atomic_range_fault"}, "device faults of atomics"},
    {{"nouveau_dmem_migrate_to_ram"}, "CPU faults on VRAM"},
    {{"nouveau_dmem_migrate_vma"}, "migrations to VRAM"},
};

// kfd_svm.c, kfd_migrate.c; userptr: amdgpu_mn.c in 6.1, amdgpu_hmm.c later.
const DriverFunction amdgpu[] = {
    {{"svm_range_cpu_invalidate_pagetables"}, "invalidations"},
    {{"svm_range_restore_pages"}, "device faults"},
    {{"svm_range_restore_work"}, "restores of ranges"},
    {{"svm_migrate_to_ram"}, "CPU faults on VRAM"},
    {{"svm_migrate_to_vram"}, "migrations to VRAM"},
    {{"svm_migrate_vram_to_ram"}, "migrations to system memory"},
    {{"amdgpu_hmm_invalidate_gfx", "amdgpu_mn_invalidate_gfx"}, "invalidations of userptrs"},
    {{"amdgpu_hmm_invalidate_hsa", "amdgpu_mn_invalidate_hsa"}, "invalidations of KFD's userptrs"},
};

// GCC names its changed clones of f "f.isra.0" or "f.constprop.0". "f.part.0" and "f.cold" are only pieces of f.
bool is_function(std::string_view symbol, std::string_view name) {
  if (!symbol.starts_with(name)) return false;
  symbol.remove_prefix(name.size());
  return symbol.empty() || ((symbol.starts_with(".isra.") || symbol.starts_with(".constprop.")) &&
                            symbol.find(".part.") == symbol.npos && symbol.find(".cold") == symbol.npos);
}

}  // namespace

std::span<const DriverFunction> functions_of(const std::string& driver) {
  if (driver == "test_hmm") return test_hmm;
  if (driver == "nouveau") return nouveau;
  if (driver == "amdgpu") return amdgpu;
  return {};
}

std::vector<std::vector<std::string>> find_symbols(std::istream& kallsyms, std::span<const DriverFunction> functions) {
  // A map by the name before a '.', because a kernel has some 200,000 symbols.
  std::map<std::string, std::size_t, std::less<>> wanted;
  for (std::size_t i = 0; i < functions.size(); ++i)
    for (const std::string& name : functions[i].names) wanted.emplace(name, i);
  std::vector<std::vector<std::string>> found(functions.size());
  // "ffffffffc08b1480 t nouveau_svm_fault\t[nouveau]"
  for (std::string line; std::getline(kallsyms, line);) {
    const std::size_t type = line.find(' ');
    if (type == line.npos || type + 3 >= line.size() || (line[type + 1] != 't' && line[type + 1] != 'T')) continue;
    const std::string_view rest = std::string_view(line).substr(type + 3);
    const std::string_view symbol = rest.substr(0, rest.find('\t'));
    const auto is = wanted.find(symbol.substr(0, symbol.find('.')));
    if (is == wanted.end() || !is_function(symbol, is->first)) continue;
    const std::size_t open = rest.find('[');
    const std::string module = open == rest.npos ? "" : std::string(rest.substr(open + 1, rest.find(']') - open - 1)) + ":";
    found[is->second].push_back(module + std::string(symbol));
  }
  return found;
}

}  // namespace faultline
