#include "harness/executor/memory_need.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

#include "harness/queries.h"

namespace faultline {
namespace {

constexpr std::uint64_t page_bytes = 4096;

// Whether the operation may populate every page that it names.
bool populates(const op::Madvise& advise) {
  switch (advise.advice) {
    case op::Advice::populate_read:
    case op::Advice::populate_write:
    case op::Advice::collapse: return true;
    case op::Advice::dontneed:
    case op::Advice::dontfork:
    case op::Advice::hugepage:
    case op::Advice::wipeonfork:
    case op::Advice::keeponfork:
    case op::Advice::free:
    case op::Advice::pageout:
    case op::Advice::remove: return false;
  }
  return true;
}
template <typename Op>
bool populates(const Op&) {
  return !is_one_of<Op, op::Mmap, op::Munmap, op::Mprotect, op::Mremap, op::Msync, op::UffdRegister, op::UffdUnregister,
                    op::UffdProtect, op::UffdWake>;
}

std::string gib(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / (1u << 30));
  return text;
}

}  // namespace

std::uint64_t memory_need(const Program& program) {
  std::vector<std::uint64_t> pages;
  for (const Region& region : program.regions) pages.push_back(region.initial ? static_cast<std::uint64_t>(region.pages) : 0);
  for (const Thread& thread : program.threads)
    for (const Statement& statement : thread.statements)
      std::visit(
          [&](const auto& operation) {
            if (!populates(operation)) return;
            for (const PageRange& range : pages_of(operation)) pages[range.region] += static_cast<std::uint64_t>(range.count);
          },
          statement.operation);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < pages.size(); ++i)
    sum += std::min(pages[i], static_cast<std::uint64_t>(program.regions[i].pages)) * page_bytes;
  return sum * program.processes.size();
}

std::uint64_t available_memory(const std::string& meminfo) {
  const std::string label = "MemAvailable:";
  const std::size_t at = meminfo.find(label);
  return at == std::string::npos ? UINT64_MAX : std::strtoull(meminfo.c_str() + at + label.size(), nullptr, 10) * 1024;
}

std::string too_much_memory(const Program& program) {
  std::ifstream file("/proc/meminfo");
  const std::uint64_t available = available_memory({std::istreambuf_iterator<char>(file), {}});
  const std::uint64_t need = memory_need(program);
  if (need <= available / 2) return {};
  return "it may take " + gib(need) + " of memory, which is more than half of the " + gib(available) + " that are available";
}

void be_first_for_oom_killer() {
  const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  (void)!write(fd, "1000", 4);
  close(fd);
}

}  // namespace faultline
