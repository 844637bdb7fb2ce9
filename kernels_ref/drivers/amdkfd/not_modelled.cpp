#include "harness/outcome.h"
#include "harness/queries.h"
#include "kernels_ref/drivers/amdkfd/prediction.h"

namespace faultline::ref {

namespace {

constexpr int granularity = 512;  // pages

bool opens(const Program& program, int process) {
  for (const Thread& thread : program.threads) {
    if (!thread.via.cpu() && thread.via.opener == process) return true;
    for (const Statement& statement : thread.statements) {
      if (std::holds_alternative<op::Open>(statement.operation) && thread.process == process) return true;
      if (const Via via = via_of(statement.operation); !via.cpu() && via.opener == process) return true;
    }
  }
  return false;
}

// What is not modelled about one statement of `process`; empty: all is.
class Unknown {
 public:
  Unknown(const Program& program, int process) : program_(program), process_(process) {}

  std::string operator()(const op::Load& o) const { return via(o.via); }
  std::string operator()(const op::Store& o) const { return via(o.via); }
  std::string operator()(const op::Migrate& o) const { return o.fail > 0 ? "an allocation that fails" : via(o.via); }
  std::string operator()(const op::Fork&) const { return {}; }
  std::string operator()(const op::Wait&) const { return {}; }
  std::string operator()(const op::Barrier&) const { return {}; }
  std::string operator()(const op::Delay&) const { return {}; }
  std::string operator()(const op::Open&) const { return {}; }
  std::string operator()(const op::Munmap&) const { return mapping(); }
  std::string operator()(const op::Mprotect&) const { return mapping(); }
  std::string operator()(const op::Mmap& o) const {
    return o.backing == Backing::anon_private ? mapping() : "pages that are not anonymous";
  }
  std::string operator()(const op::Madvise& o) const {
    switch (o.advice) {
      case op::Advice::dontneed:
      case op::Advice::populate_read:
      case op::Advice::populate_write: return mapping();
      case op::Advice::dontfork:
      case op::Advice::wipeonfork:
      case op::Advice::keeponfork: return {};
      default: return "madvise that takes or joins pages";
    }
  }
  std::string operator()(const op::Exit&) const { return ends(process_); }
  std::string operator()(const op::Kill& o) const { return ends(o.process); }
  std::string operator()(const op::Close&) const { return "close: KFD keeps the ranges of a process"; }
  std::string operator()(const op::Mremap&) const { return "mremap: the driver does not find a page in VRAM at its new address"; }
  template <typename Other>
  std::string operator()(const Other&) const {
    return "a request that its driver does not have, or a file";
  }

 private:
  std::string via(Via via) const {
    return via.cpu() || (via.opener == process_ && !forked(process_)) ? "" : "a device that a forked process uses";
  }
  // A range belongs to the address space of the process that made it, but the driver uses that of the process that touches it.
  std::string mapping() const { return forked(process_) ? "a forked process that changes its mappings" : ""; }
  std::string ends(int process) const { return opens(program_, process) ? "the end of a process that has ranges" : ""; }
  bool forked(int process) const { return program_.processes[process].parent >= 0; }

  const Program& program_;
  const int process_;
};

}  // namespace

bool migrates(const Program& program) {
  return any_operation(program, [](const Operation& o) { return std::holds_alternative<op::Migrate>(o); });
}

bool migrates_or_accesses(const Program& program) { return migrates(program) || any_operation(program, is_device_access); }

std::string not_modelled(const Program& program) {
  std::string why;
  const auto note = [&why](bool holds, const std::string& text) {
    if (why.empty() && holds && !text.empty()) why = "ranges of amdkfd are not modelled beside " + text;
  };
  note(program.devices.size() > 1, "a second GPU");
  note(program.threads.size() == limits::threads, "eight threads");
  for (const Region& region : program.regions) {
    note(region.backing != Backing::none && region.backing != Backing::anon_private, "pages that are not anonymous");
    note(region.pages >= granularity, "a region of 512 pages or more");
  }
  for (const Thread& thread : program.threads)
    for (const Statement& statement : thread.statements)
      note(true, std::visit(Unknown(program, thread.process), statement.operation));
  return why;
}

}  // namespace faultline::ref
