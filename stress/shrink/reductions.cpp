#include "stress/shrink/reductions.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "harness/queries.h"
#include "stress/generate/renumber.h"

namespace faultline {
namespace {

bool is_main(const Program& program, const Thread& thread) {
  return thread.name == program.processes[static_cast<std::size_t>(thread.process)].name;
}

// Without one part of a kind, the last one first: what comes later depends on what comes before.
std::vector<Program> without_each(const Program& program, std::vector<int> Numbers::*kind) {
  std::vector<Program> result;
  const Numbers all = same_numbers(program);
  for (int i = static_cast<int>((all.*kind).size()) - 1; i >= 0; --i) {
    Numbers numbers = all;
    leave_out(numbers.*kind, i);
    result.push_back(renumbered(program, numbers));
  }
  return result;
}

std::vector<Program> without_processes(const Program& program) { return without_each(program, &Numbers::processes); }
std::vector<Program> without_devices(const Program& program) { return without_each(program, &Numbers::devices); }
std::vector<Program> without_regions(const Program& program) { return without_each(program, &Numbers::regions); }
std::vector<Program> without_barriers(const Program& program) { return without_each(program, &Numbers::barriers); }

// A main thread of a child has to stay, without statements.
std::vector<Program> without_threads(const Program& program) {
  std::vector<Program> result;
  for (std::size_t i = program.threads.size(); i-- > 0;) {
    Program less = program;
    less.threads[i].statements.clear();
    result.push_back(tidied(less));
  }
  return result;
}

// A child in place of the root that does nothing but fork it and wait.
std::vector<Program> without_roots(const Program& program) {
  std::vector<Program> result;
  for (std::size_t child = 0; child < program.processes.size(); ++child) {
    const int parent = program.processes[child].parent;
    if (parent < 0 || program.processes[static_cast<std::size_t>(parent)].parent >= 0) continue;
    Program less = program;
    for (File& file : less.files)
      if (file.owner == parent) file.owner = static_cast<int>(child);
    for (Region& region : less.regions)
      if (region.owner == parent) region.owner = static_cast<int>(child);
    less.processes[child].parent = -1;
    Numbers numbers = same_numbers(less);
    leave_out(numbers.processes, parent);
    result.push_back(renumbered(less, numbers));
  }
  return result;
}

// Runs of statements of one thread: halves first, then smaller ones.
std::vector<Program> without_statements(const Program& program) {
  std::vector<Program> result;
  std::size_t longest = 0;
  for (const Thread& thread : program.threads) longest = std::max(longest, thread.statements.size());
  for (std::size_t run = (longest + 1) / 2; run > 0; run /= 2)
    for (std::size_t i = program.threads.size(); i-- > 0;) {
      const std::size_t count = program.threads[i].statements.size();
      for (std::size_t end = count; end >= run && end > 0; end -= std::min(end, run)) {
        Program less = program;
        std::vector<Statement>& statements = less.threads[i].statements;
        statements.erase(statements.begin() + static_cast<std::ptrdiff_t>(end - run),
                         statements.begin() + static_cast<std::ptrdiff_t>(end));
        result.push_back(std::move(less));
      }
    }
  return result;
}

std::vector<Program> without_observes(const Program& program) {
  std::vector<Program> result;
  for (std::size_t run = program.observes.size(); run > 0; run /= 2)
    for (std::size_t end = program.observes.size(); end >= run; end -= run) {
      Program less = program;
      less.observes.erase(less.observes.begin() + static_cast<std::ptrdiff_t>(end - run),
                          less.observes.begin() + static_cast<std::ptrdiff_t>(end));
      result.push_back(std::move(less));
    }
  return result;
}

// Takes page `gone` out of a region. Gives whether pages are left.
bool take_page(PageRange& range, int region, int gone) {
  if (range.region != region) return true;
  if (gone < range.first) --range.first;
  else if (gone < range.first + range.count) --range.count;
  return range.count > 0;
}

bool take_page(Cell& cell, int region, int gone) {
  PageRange range{cell.region, cell.page, 1};
  const bool left = take_page(range, region, gone);
  cell.page = range.first;
  return left;
}

Program without_page(const Program& program, int region, int gone) {
  Program less = program;
  --less.regions[static_cast<std::size_t>(region)].pages;
  for (Thread& thread : less.threads)
    std::erase_if(thread.statements, [&](Statement& statement) {
      return !std::visit(
          [&](auto& o) {
            bool left = true;
            if constexpr (requires { o.cell; }) left = take_page(o.cell, region, gone) && left;
            if constexpr (requires { o.range; }) left = take_page(o.range, region, gone) && left;
            if constexpr (requires { o.from; }) left = take_page(o.from, region, gone) && left;
            if constexpr (requires { o.to; }) take_page(o.to, region, gone);
            return left;
          },
          statement.operation);
    });
  std::erase_if(less.observes, [&](Observe& observe) {
    const bool left = take_page(observe.cell, region, gone);
    return (observe.kind == Observe::Kind::same && !take_page(observe.cell2, region, gone)) || !left;
  });
  return less;
}

std::vector<Program> without_pages(const Program& program) {
  std::vector<Program> result;
  for (int region = static_cast<int>(program.regions.size()) - 1; region >= 0; --region) {
    const int pages = program.regions[static_cast<std::size_t>(region)].pages;
    if (pages > limits::spans_per_region) {  // a large region: at once
      Program less = program;
      less.regions[static_cast<std::size_t>(region)].pages /= 2;
      result.push_back(std::move(less));
    }
    for (int page = std::min(pages, limits::spans_per_region) - 1; page >= 0 && pages > 1; --page)
      result.push_back(without_page(program, region, page));
  }
  return result;
}

// One page where a statement names several.
std::vector<Program> narrowed(const Program& program) {
  std::vector<Program> result;
  for (std::size_t i = program.threads.size(); i-- > 0;)
    for (std::size_t k = program.threads[i].statements.size(); k-- > 0;)
      for (const bool last : {false, true}) {
        Program less = program;
        const bool fits = std::visit(
            [&](auto& o) {
              if constexpr (requires { o.range; }) {
                if (o.range.count == 1) return false;
                const int skipped = last ? o.range.count - 1 : 0;
                o.range.first += skipped;
                o.range.count = 1;
                if constexpr (requires { o.to; }) o.to.page += skipped;
                return true;
              }
              return false;
            },
            less.threads[i].statements[k].operation);
        if (fits) result.push_back(std::move(less));
      }
  return result;
}

// Migrations that get all their pages.
std::vector<Program> without_failures(const Program& program) {
  std::vector<Program> result;
  for (std::size_t i = program.threads.size(); i-- > 0;)
    for (std::size_t k = program.threads[i].statements.size(); k-- > 0;) {
      Program less = program;
      auto* const migrate = std::get_if<op::Migrate>(&less.threads[i].statements[k].operation);
      if (!migrate || migrate->fail == 0) continue;
      migrate->fail = 0;
      result.push_back(std::move(less));
    }
  return result;
}

constexpr std::array<Reduction, 11> steps = {without_processes,  without_roots,    without_threads,  without_devices,
                                             without_statements, without_barriers, without_observes, without_pages,
                                             narrowed,           without_failures, without_regions};

}  // namespace

std::span<const Reduction> reductions() { return steps; }

Program tidied(const Program& given) {
  Program program = given;
  // The statements of a barrier where only one thread is left.
  for (int barrier = 0; barrier < static_cast<int>(program.barriers.size()); ++barrier) {
    const auto meets = [&](const Statement& statement) {
      const auto* own = std::get_if<op::Barrier>(&statement.operation);
      return own && own->barrier == barrier;
    };
    const auto count = std::ranges::count_if(program.threads,
                                             [&](const Thread& thread) { return std::ranges::any_of(thread.statements, meets); });
    if (count > 1) continue;
    for (Thread& thread : program.threads) std::erase_if(thread.statements, meets);
  }
  Numbers numbers = same_numbers(program);
  std::vector<bool> devices(program.devices.size()), files(program.files.size()), barriers(program.barriers.size());
  const auto use = [](std::vector<bool>& of, int index) {
    if (index >= 0) of[static_cast<std::size_t>(index)] = true;
  };
  for (const Region& region : program.regions) {
    use(files, region.file);
    if (is_buffer(region.backing)) use(devices, 0);
  }
  for (std::size_t i = 0; i < program.threads.size(); ++i) {
    const Thread& thread = program.threads[i];
    const bool child = program.processes[static_cast<std::size_t>(thread.process)].parent >= 0;
    if (thread.statements.empty() && !(child && is_main(program, thread))) {
      leave_out(numbers.threads, static_cast<int>(i));
      continue;
    }
    use(devices, thread.via.device);
    for (const Statement& statement : thread.statements)
      std::visit(
          [&](const auto& o) {
            if constexpr (requires { o.via; }) use(devices, o.via.device);
            if constexpr (requires { o.device; }) use(devices, o.device);
            if constexpr (requires { o.file; }) use(files, o.file);
            if constexpr (requires { o.barrier; }) use(barriers, o.barrier);
          },
          statement.operation);
  }
  const auto drop = [](std::vector<int>& of, const std::vector<bool>& used) {
    for (std::size_t i = 0; i < used.size(); ++i)
      if (!used[i]) leave_out(of, static_cast<int>(i));
  };
  drop(numbers.devices, devices);
  drop(numbers.files, files);
  drop(numbers.barriers, barriers);
  return renumbered(program, numbers);
}

}  // namespace faultline
