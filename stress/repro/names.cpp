#include "stress/repro/names.h"

#include <algorithm>
#include <cctype>

namespace faultline::repro {
namespace {

// The text as a part of a C name, other than all that are taken.
std::string new_name(const std::string& text, std::set<std::string>& taken) {
  std::string name;
  for (const char c : text)
    if (std::isalnum(static_cast<unsigned char>(c))) name += c;
    else if (!name.empty() && name.back() != '_') name += '_';
  while (name.ends_with('_')) name.pop_back();
  std::string unique = name;
  for (int i = 2; !taken.insert(unique).second; ++i) unique = name + "_" + std::to_string(i);
  return unique;
}

std::vector<std::string> new_names(const auto& all, auto text_of) {
  std::vector<std::string> names;
  std::set<std::string> taken;
  for (const auto& each : all) names.push_back(new_name(text_of(each), taken));
  return names;
}

// Macros of the C library (INT_MAX) have no small letter.
std::string no_macro(const std::string& name) {
  return std::ranges::any_of(name, [](unsigned char c) { return std::islower(c); }) ? name : name + "_";
}

}  // namespace

std::vector<long> region_offsets(const Program& program) {
  constexpr long page = 4096, stack_limit = 8L << 20, apart = 16L << 20;
  std::vector<long> offsets = {0};
  for (const Region& region : program.regions)
    offsets.push_back(offsets.back() + ((region.pages * page + stack_limit) / apart + 1) * apart);
  return offsets;
}

Names::Names(const Program& program)
    : processes_(new_names(program.processes, [](const Process& p) { return p.name; })),
      regions_(new_names(program.regions, [](const Region& r) { return r.name; })),
      files_(new_names(program.files, [](const File& f) { return f.name; })),
      barriers_(new_names(program.barriers, [](const std::string& b) { return b; })),
      devices_(new_names(program.devices, [](const Device& d) { return d.name; })) {
  std::set<std::string> functions(processes_.begin(), processes_.end());
  for (const Thread& thread : program.threads) threads_.push_back(new_name(thread.name, functions));
  std::set<std::string> members;
  for (const Observable& observable : schema(program)) {
    const bool end = observable.kind == Observable::Kind::value;
    members_[observable.key] = no_macro(new_name((end ? "end " : "") + observable.key, members));
  }
}

std::string Names::page(Cell cell) const {
  return region(cell.region) + (cell.page == 0 ? "" : " + " + std::to_string(cell.page) + " * PAGE");
}

}  // namespace faultline::repro
