#include "harness/target.h"

#include <algorithm>

#include "harness/language/words.h"
#include "harness/queries.h"

namespace faultline {
namespace {

// What an operation needs from the device.
struct Request {
  bool migrate = false;
  bool fails = false;  // one of its allocations
  bool snapshot = false;
  bool pin = false;
  bool exclusive = false;
  bool direct = false;
  bool command = false;  // an OpenCL SVM command, which may be for other memory too
  Order order = Order::plain;
  int region = -1;  // the region that the device accesses
  int other = -1;   // the other end of a copy
  Via via;
};

struct RequestOf {
  Request operator()(const op::Load& load) const { return access(load); }
  Request operator()(const op::Store& store) const { return access(store); }
  Request operator()(const op::Update& update) const { return access(update); }
  Request operator()(const op::Migrate& migrate) const {
    return {.migrate = true, .fails = migrate.fail > 0, .region = migrate.range.region, .via = migrate.via};
  }
  Request operator()(const op::Snapshot& snapshot) const { return {.snapshot = true, .via = snapshot.via}; }
  Request operator()(const op::Exclusive& exclusive) const { return {.exclusive = true, .via = exclusive.via}; }
  Request operator()(const op::DirectRead&) const { return {.direct = true}; }
  Request operator()(const op::DirectWrite&) const { return {.direct = true}; }
  Request operator()(const op::Pin& pin) const { return {.pin = true, .via = pin.via}; }
  Request operator()(const op::Unpin& unpin) const { return {.pin = true, .via = unpin.via}; }
  Request operator()(const op::SvmMap& map) const { return {.region = map.range.region, .via = map.via}; }
  Request operator()(const op::SvmUnmap& unmap) const { return {.region = unmap.range.region, .via = unmap.via}; }
  Request operator()(const op::SvmCopy& copy) const {
    return {.command = true, .region = copy.from.region, .other = copy.to.region, .via = copy.via};
  }
  Request operator()(const op::SvmFill& fill) const { return {.command = true, .region = fill.cell.region, .via = fill.via}; }
  // Operations that use no device need nothing from it. An operation with a `via` needs an overload above; without one,
  // this does not compile.
  template <typename Op>
  requires(!requires(Op o) { o.via; }) Request operator()(const Op&) const { return {}; }

 private:
  template <typename Access>
  static Request access(const Access& access) {
    return {.order = access.order, .region = access.cell.region, .via = access.via};
  }
};

const UsmAccess& usm_access(const Capabilities& can, Backing backing) {
  return backing == Backing::usm_host ? can.usm_host : backing == Backing::usm_shared ? can.usm_shared : can.usm_device;
}

std::string missing_buffer(Backing backing, const Capabilities& can) {
  if (backing == Backing::svm_coarse && !can.svm_coarse) return "no SVM buffers";
  if (backing == Backing::svm_fine && !can.svm_fine) return "no fine-grained SVM buffers";
  if (backing == Backing::device_address && !can.device_address)
    return "the device has no buffer device addresses (cl_ext_buffer_device_address)";
  if (!is_usm(backing) || usm_access(can, backing).access) return {};
  const bool some = can.usm_host.access || can.usm_shared.access || can.usm_device.access;
  return some ? "the device has no " + words::text(words::buffers, backing) + " (cl_intel_unified_shared_memory without it)"
              : "the device has no unified shared memory (cl_intel_unified_shared_memory)";
}

bool shares_memory(const Program& program) {
  const auto shared = [](Backing backing) {
    return backing != Backing::none && backing != Backing::anon_private && backing != Backing::stack;
  };
  const auto maps_shared = [&](const Statement& statement) {
    const auto* map = std::get_if<op::Mmap>(&statement.operation);
    return map && shared(map->backing);
  };
  return std::ranges::any_of(program.regions, [&](const Region& region) { return shared(region.backing); }) ||
         std::ranges::any_of(program.threads,
                             [&](const Thread& thread) { return std::ranges::any_of(thread.statements, maps_shared); });
}

// Why huge pages of this machine are in the way. Only Programs that ask for huge pages can have this problem; for others
// the executor turns huge pages off.
std::string other_huge_pages(const Program& program, const Capabilities& can) {
  if (!may_have_huge_pages(program)) return {};
  constexpr const char* folder = "/sys/kernel/mm/transparent_hugepage/";
  if (can.huge_pages)
    return std::string("huge pages where nobody advises them: echo madvise > ") + folder +
           "enabled (and for each size), or the virtual lab";
  if (can.shared_huge_pages && shares_memory(program))
    return std::string("huge pages in all shared memory: echo never > ") + folder +
           "shmem_enabled (and for each size), or the virtual lab";
  return {};
}

std::string missing(const Request& request, const Program& program, const Capabilities& can) {
  const auto backing_of = [&](int region) { return region < 0 ? Backing::none : program.regions[region].backing; };
  const Backing backing = backing_of(request.region);
  if (request.migrate && !can.migrate && !is_buffer(backing)) return "no migration between device and system memory";
  if (request.fails && !can.page_failures)
    return "no allocations that fail: CONFIG_FAIL_PAGE_ALLOC, root, and N in ignore-gfp-wait and ignore-gfp-highmem and 0 in "
           "min-order of /sys/kernel/debug/fail_page_alloc; or the virtual lab";
  if (request.snapshot && !can.snapshot) return "no snapshots of page tables";
  if (request.pin && !can.pin) return "no long-term pins";
  if (request.exclusive && !can.exclusive) return "no exclusive access of a device";
  if (request.direct && !can.direct) return "no file system here with O_DIRECT: ext4 or xfs in /var/tmp or /tmp";
  if (request.via.cpu()) return {};
  if (request.order != Order::plain && !(is_usm(backing) ? usm_access(can, backing).atomics : can.atomics))
    return is_usm(backing) ? "the device has no atomics in " + words::text(words::buffers, backing) +
                                 " (CL_UNIFIED_SHARED_MEMORY_ATOMIC_ACCESS_INTEL)"
                           : "no atomics that CPU and device share";
  if (request.command && !can.svm_coarse && !is_buffer(backing) && !is_buffer(backing_of(request.other)))
    return "no SVM, and so no command that copies or fills other memory";
  if (request.other >= 0) return {};  // copies may have an end in host memory, because the driver does them
  if (!is_buffer(backing) && !can.system && !request.migrate) return "the device reaches SVM buffers only, no other memory";
  return {};
}

}  // namespace

std::string cannot_run(const Program& program, const Capabilities& capabilities) {
  for (const Region& region : program.regions)
    if (const std::string why = missing_buffer(region.backing, capabilities); !why.empty()) return why;
  if (const std::string why = other_huge_pages(program, capabilities); !why.empty()) return why;
  for (const Thread& thread : program.threads) {
    for (const Statement& statement : thread.statements) {
      const auto* advise = std::get_if<op::Madvise>(&statement.operation);
      if (advise && advise->advice == op::Advice::pageout && capabilities.swap)
        return "pageout where there is swap: swapoff -a, or the virtual lab";
      if (is_uffd(statement.operation) && !capabilities.uffd)
        return "no userfaultfd for faults of the kernel, with write protection: root, or sysctl vm.unprivileged_userfaultfd=1, "
               "and a kernel with CONFIG_USERFAULTFD";
      const Request request = std::visit(RequestOf{}, statement.operation);
      if (const std::string why = missing(request, program, capabilities); !why.empty()) return why;
      if (request.via.cpu()) continue;
      if (!capabilities.forked && program.processes[request.via.opener].parent >= 0)
        return "a forked process cannot open the device";
      const bool inherited = request.via.opener != thread.process;
      if (inherited && (request.pin || !capabilities.inherited)) return "a child cannot use the device that its parent opened";
    }
  }
  return {};
}

std::string cannot_run(const Program& program, const Allowed& allowed, const Capabilities& capabilities) {
  for (const AtOnce& pair : allowed.at_once) {
    const Backing backing = program.regions[pair.region].backing;
    const UsmAccess& usm = usm_access(capabilities, backing);
    if (usm.concurrent && (!pair.ordered || usm.concurrent_atomics)) continue;
    return "host and device cannot use the device's " + words::text(words::buffers, backing) +
           " at once (CL_UNIFIED_SHARED_MEMORY_CONCURRENT_" + (usm.concurrent ? "ATOMIC_" : "") + "ACCESS_INTEL), as " +
           pair.accesses + " may";
  }
  return {};
}

}  // namespace faultline
