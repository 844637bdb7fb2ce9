#include "harness/target.h"

namespace faultline {
namespace {

// The device request that an operation makes, if any.
struct Request {
  bool migrate = false;
  bool snapshot = false;
  bool pin = false;
  bool exclusive = false;
  bool direct = false;
  Via via;
};

struct RequestOf {
  Request operator()(const op::Load& load) const { return {.via = load.via}; }
  Request operator()(const op::Store& store) const { return {.via = store.via}; }
  Request operator()(const op::Migrate& migrate) const { return {.migrate = true, .via = migrate.via}; }
  Request operator()(const op::Snapshot& snapshot) const { return {.snapshot = true, .via = snapshot.via}; }
  Request operator()(const op::Exclusive& exclusive) const { return {.exclusive = true, .via = exclusive.via}; }
  Request operator()(const op::DirectRead&) const { return {.direct = true}; }
  Request operator()(const op::DirectWrite&) const { return {.direct = true}; }
  Request operator()(const op::Mmap&) const { return {}; }
  Request operator()(const op::Munmap&) const { return {}; }
  Request operator()(const op::Mprotect&) const { return {}; }
  Request operator()(const op::Mremap&) const { return {}; }
  Request operator()(const op::Madvise&) const { return {}; }
  Request operator()(const op::Msync&) const { return {}; }
  Request operator()(const op::Truncate&) const { return {}; }
  Request operator()(const op::Fork&) const { return {}; }
  Request operator()(const op::Exit&) const { return {}; }
  Request operator()(const op::Kill&) const { return {}; }
  Request operator()(const op::Wait&) const { return {}; }
  Request operator()(const op::Barrier&) const { return {}; }
  Request operator()(const op::Delay&) const { return {}; }
  Request operator()(const op::Open&) const { return {}; }
  Request operator()(const op::Close&) const { return {}; }
  Request operator()(const op::Pin& pin) const { return {.pin = true, .via = pin.via}; }
  Request operator()(const op::Unpin& unpin) const { return {.pin = true, .via = unpin.via}; }
};

}  // namespace

std::string cannot_run(const Program& program, const Capabilities& capabilities) {
  for (const Thread& thread : program.threads) {
    for (const Statement& statement : thread.statements) {
      const auto* advise = std::get_if<op::Madvise>(&statement.operation);
      if (advise && advise->advice == op::Advice::pageout && capabilities.swap)
        return "pageout where there is swap: swapoff -a, or the virtual lab";
      const Request request = std::visit(RequestOf{}, statement.operation);
      if (request.migrate && !capabilities.migrate) return "no migration between device and system memory";
      if (request.snapshot && !capabilities.snapshot) return "no snapshots of page tables";
      if (request.pin && !capabilities.pin) return "no long-term pins";
      if (request.exclusive && !capabilities.exclusive) return "no exclusive access of a device";
      if (request.direct && !capabilities.direct) return "no file system here with O_DIRECT: ext4 or xfs in /var/tmp or /tmp";
      const bool inherited = !request.via.cpu() && request.via.opener != thread.process;
      if (inherited && (request.pin || !capabilities.inherited)) return "a child cannot use the device that its parent opened";
    }
  }
  return {};
}

}  // namespace faultline
