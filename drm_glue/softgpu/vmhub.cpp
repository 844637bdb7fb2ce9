#include "drm_glue/softgpu/vmhub.h"

#include <algorithm>
#include <utility>

#include "drm_glue/softgpu/vfio_user/shared.h"

namespace faultline::softgpu {
namespace {

constexpr std::uint64_t address_mask = 0x0000'ffff'ffff'ffff;
constexpr unsigned bits_of_level = 9;

// The two hubs have the same fields.
using mmhub::VM_CONTEXT0_CNTL__ENABLE_CONTEXT, mmhub::VM_CONTEXT0_CNTL__PAGE_TABLE_DEPTH,
    mmhub::VM_CONTEXT0_CNTL__RETRY_PERMISSION_OR_INVALID_PAGE_FAULT;
static_assert(gc::VM_CONTEXT0_CNTL__RETRY_PERMISSION_OR_INVALID_PAGE_FAULT.mask ==
              VM_CONTEXT0_CNTL__RETRY_PERMISSION_OR_INVALID_PAGE_FAULT.mask);
static_assert(gc::VM_CONTEXT15_CNTL == gc::VM_CONTEXT0_CNTL + 15 && mmhub::VM_CONTEXT15_CNTL == mmhub::VM_CONTEXT0_CNTL + 15);
static_assert(mmhub::VM_INVALIDATE_ENG17_ACK == mmhub::VM_INVALIDATE_ENG0_ACK + 17);

}  // namespace

VmHub::Registers VmHub::mmhub() {
  using namespace softgpu::mmhub;
  return {VM_CONTEXT0_CNTL,
          VM_INVALIDATE_ENG0_SEM,
          VM_INVALIDATE_ENG0_REQ,
          VM_INVALIDATE_ENG0_ACK,
          VM_CONTEXT0_PAGE_TABLE_BASE_ADDR_LO32,
          VM_CONTEXT0_PAGE_TABLE_START_ADDR_LO32,
          VM_CONTEXT0_PAGE_TABLE_END_ADDR_LO32,
          MC_VM_FB_LOCATION_BASE,
          MC_VM_FB_LOCATION_TOP,
          MC_VM_AGP_BASE,
          MC_VM_AGP_BOT,
          MC_VM_AGP_TOP,
          VM_L2_PROTECTION_FAULT_CNTL,
          VM_L2_PROTECTION_FAULT_STATUS,
          VM_L2_PROTECTION_FAULT_ADDR_LO32,
          osssys::IH_VMID_0_LUT_MM,
          ih_client::vmc};
}

VmHub::Registers VmHub::gfxhub() {
  using namespace softgpu::gc;
  return {VM_CONTEXT0_CNTL,
          VM_INVALIDATE_ENG0_SEM,
          VM_INVALIDATE_ENG0_REQ,
          VM_INVALIDATE_ENG0_ACK,
          VM_CONTEXT0_PAGE_TABLE_BASE_ADDR_LO32,
          VM_CONTEXT0_PAGE_TABLE_START_ADDR_LO32,
          VM_CONTEXT0_PAGE_TABLE_END_ADDR_LO32,
          MC_VM_FB_LOCATION_BASE,
          MC_VM_FB_LOCATION_TOP,
          MC_VM_AGP_BASE,
          MC_VM_AGP_BOT,
          MC_VM_AGP_TOP,
          VM_L2_PROTECTION_FAULT_CNTL,
          VM_L2_PROTECTION_FAULT_STATUS,
          VM_L2_PROTECTION_FAULT_ADDR_LO32,
          osssys::IH_VMID_0_LUT,
          ih_client::utcl2};
}

// VMID 0 sees VRAM and the bus through apertures, beside its page table (GART).
std::optional<Physical> VmHub::aperture(std::uint64_t address, std::uint64_t& left) const {
  const auto inside = [&](unsigned bottom, unsigned top) {
    const std::uint64_t low = std::uint64_t{registers_[bottom]} << 24, high = std::uint64_t{registers_[top]} << 24 | 0xffffff;
    return address >= low && address <= high ? std::optional(address - low) : std::nullopt;
  };
  left = gpu_page - address % gpu_page;
  if (const auto offset = inside(at_.fb_base, at_.fb_top); offset && *offset < memory_.vram_size())
    return Physical{*offset, false};
  if (const auto offset = inside(at_.agp_bottom, at_.agp_top))
    return Physical{*offset + (std::uint64_t{registers_[at_.agp_base]} << 24), true};
  return std::nullopt;
}

VmHub::Walk VmHub::walk(unsigned vmid, std::uint64_t address, bool write) const {
  const std::uint32_t control = registers_[at_.context_cntl + vmid];
  Walk result;
  result.fault = {vmid, address, write, VM_CONTEXT0_CNTL__RETRY_PERMISSION_OR_INVALID_PAGE_FAULT.of(control) != 0, false};
  const auto pair = [&](unsigned first) { return registers_.pair(first + 2 * vmid, first + 2 * vmid + 1); };
  const std::uint64_t page = address / gpu_page, start = pair(at_.start), end = pair(at_.end);
  if (!VM_CONTEXT0_CNTL__ENABLE_CONTEXT.of(control) || page < start || page > end) {
    result.fault.retry = false;
    return result;
  }
  std::uint64_t entry = pair(at_.base);
  unsigned level = VM_CONTEXT0_CNTL__PAGE_TABLE_DEPTH.of(control);
  const unsigned depth = level;
  for (;; --level) {  // the entry is that of a table of this level
    if (!(entry & pte::valid)) return result;
    const std::uint64_t index = (page - start) >> level * bits_of_level;
    const std::uint64_t offset = (level == depth ? index : index % (1 << bits_of_level)) * sizeof entry;
    const std::byte* at = memory_.at({(entry & pte::address) + offset, (entry & pte::system) != 0}, sizeof entry, false);
    if (!at) return result;
    entry = vfio_user::load_shared<std::uint64_t>(at);
    if (level == 0 || (entry & pte::valid && entry & pte::pde_is_pte)) break;
  }
  if (!(entry & pte::valid)) {
    if (entry & pte::prt) result.fault.retry = false;
    return result;
  }
  const std::uint64_t within = ((page - start) % (std::uint64_t{1} << level * bits_of_level)) * gpu_page;
  result.entry = Entry{
      {(entry & pte::address) + within, (entry & pte::system) != 0}, (entry & pte::readable) != 0, (entry & pte::writeable) != 0};
  result.fault.permission = !result.entry->permits(write);
  return result;
}

Translation VmHub::translate(unsigned vmid, std::uint64_t address, bool write) {
  address &= address_mask;
  Translation result;
  if (vmid == 0) result.where = aperture(address, result.left);
  if (result.where) return result;
  const std::uint64_t page = address / gpu_page, offset = address % gpu_page;
  result.left = gpu_page - offset;
  Context& context = contexts_[vmid];
  if (const auto old = write ? freed(context, page) : std::nullopt) {
    result.where = used(vmid, address, *old);
    return result;
  }
  const auto held = context.tlb.find(page);
  if (held != context.tlb.end()) {
    if (weather_.forget_translation()) {
      context.tlb.erase(held);
    } else if (!weather_.walk_again()) {
      std::vector<const Entry*> usable;
      for (const Entry& each : held->second)
        if (each.permits(write)) usable.push_back(&each);
      if (!usable.empty()) {
        result.where = used(vmid, address, *usable[weather_.below(usable.size())]);
        return result;
      }
    }
  }
  // Only what permits the access is kept: a fault is walked again each time.
  Walk walked = walk(vmid, address, write);
  if (!walked.entry || walked.fault.permission) {
    result.fault = walked.fault;
    return result;
  }
  if (context.tlb.size() >= most_held) context.tlb.clear();
  walked.entry->walked_after = context.invalidations;
  std::vector<Entry>& entries = context.tlb[page];
  if (entries.size() < 4) entries.push_back(*walked.entry);
  result.where = used(vmid, address, *walked.entry);
  return result;
}

// Where an entry leads. An entry of before the last invalidation is never right to use, so the log says whose fault that is.
Physical VmHub::used(unsigned vmid, std::uint64_t address, const Entry& entry) {
  if (entry.walked_after != contexts_[vmid].invalidations)
    log_("%s hardware is to blame: vmid %u address %#lx used a translation of %lu invalidations ago", name_, vmid, address,
         contexts_[vmid].invalidations - entry.walked_after);
  return {entry.page.address + address % gpu_page, entry.page.system};
}

std::optional<VmHub::Entry> VmHub::freed(Context& context, std::uint64_t page) {
  const auto old = context.dropped.find(page);
  if (old == context.dropped.end()) return std::nullopt;
  const Entry entry = old->second.front();
  context.dropped.erase(old);
  return entry.writeable && chance(2) ? std::optional(entry) : std::nullopt;
}

bool VmHub::drops(const Fault& fault) {
  if (broken_ != Broken::drop_fault) return false;
  const std::uint64_t which = fault.address / gpu_page << 4 | fault.vmid;
  if (which == last_fault_) return false;
  last_fault_ = which;
  if (!chance(4)) return false;
  log_("%s hardware is to blame: vmid %u address %#lx %s without a translation, and nobody was told", name_, fault.vmid,
       fault.address, fault.write ? "written" : "read");
  return true;
}

void VmHub::tell(const Fault& fault, std::uint8_t ring) {
  const std::uint64_t page = fault.address / gpu_page;
  using namespace softgpu::mmhub;
  const bool more = registers_[at_.fault_status] != 0;
  if (!more) {
    registers_[at_.fault_status] =
        VM_L2_PROTECTION_FAULT_STATUS__PERMISSION_FAULTS.set(fault.permission ? (fault.write ? 4 : 2) : 1) |
        VM_L2_PROTECTION_FAULT_STATUS__RW.set(fault.write) | VM_L2_PROTECTION_FAULT_STATUS__VMID.set(fault.vmid);
    registers_.set_pair(at_.fault_address, at_.fault_address + 1, page);
  } else {
    registers_[at_.fault_status] |= VM_L2_PROTECTION_FAULT_STATUS__MORE_FAULTS.mask;
  }
  log_("%s fault vmid %u pasid %u address %#lx %s%s%s", name_, fault.vmid, pasid(fault.vmid), page * gpu_page,
       fault.write ? "write" : "read", fault.retry ? " retry" : "", fault.permission ? " permission" : "");
  Vector vector{at_.client, 0, ring, static_cast<std::uint8_t>(fault.vmid), pasid(fault.vmid)};
  vector.data[0] = static_cast<std::uint32_t>(page);
  vector.data[1] = (static_cast<std::uint32_t>(page >> 32) & 0xf) | (fault.write ? 0x20 : 0) | (fault.retry ? 0x80 : 0);
  const nanoseconds delay = weather_.fault();
  for (std::size_t times = fault.retry ? weather_.times_told() : 1; times > 0; --times) ih_.post(vector, delay);
}

bool VmHub::owns(unsigned offset) const {
  const auto in = [&](unsigned first) { return offset >= first && offset < first + engines; };
  return in(at_.invalidate_sem) || in(at_.invalidate_req) || in(at_.invalidate_ack) || offset == at_.fault_cntl;
}

std::uint32_t VmHub::read(unsigned offset) {
  run();
  if (offset >= at_.invalidate_sem && offset < at_.invalidate_sem + engines) {  // 1: it is the reader's now
    bool& taken = semaphore_taken_[offset - at_.invalidate_sem];
    return std::exchange(taken, true) ? 0 : 1;
  }
  return registers_[offset];
}

void VmHub::write(unsigned offset, std::uint32_t value) {
  registers_[offset] = value;
  if (offset >= at_.invalidate_sem && offset < at_.invalidate_sem + engines)
    semaphore_taken_[offset - at_.invalidate_sem] = false;
  if (offset == at_.fault_cntl && value & 1) registers_[at_.fault_status] = 0;
  if (offset < at_.invalidate_req || offset >= at_.invalidate_req + engines) return;
  const unsigned engine = offset - at_.invalidate_req;
  const std::uint32_t mask = softgpu::mmhub::VM_INVALIDATE_ENG0_REQ__PER_VMID_INVALIDATE_REQ.of(value);
  registers_[at_.invalidate_ack + engine] &= ~mask;
  std::erase_if(requests_, [&](const Request& each) { return each.engine == engine; });
  requests_.push_back({engine, mask, time_.now() + weather_.invalidation()});
  run();
}

std::optional<nanoseconds> VmHub::run() {
  std::optional<nanoseconds> next;
  std::erase_if(requests_, [&](const Request& each) {
    if (each.due > time_.now()) {
      next = sooner(next, each.due);
      return false;
    }
    invalidate(each.vmids);
    registers_[at_.invalidate_ack + each.engine] |= each.vmids;
    log_("%s invalidated vmids %#x engine %u", name_, each.vmids, each.engine);
    return true;
  });
  return next;
}

void VmHub::invalidate(std::uint32_t mask) {
  for (unsigned vmid = 0; vmid < vmids; ++vmid) {
    if (!(mask >> vmid & 1)) continue;
    Context& context = contexts_[vmid];
    ++context.invalidations;
    if (vmid != 0 && broken_ == Broken::skip_invalidate && chance(2)) continue;
    if (vmid != 0 && broken_ == Broken::writes_freed_page) context.dropped = std::move(context.tlb);
    context.tlb.clear();
  }
}

void VmHub::invalidate_pasid(std::uint16_t asked) {
  std::uint32_t mask = 0;
  for (unsigned vmid = 1; vmid < vmids; ++vmid)
    if (pasid(vmid) == asked) mask |= 1u << vmid;
  log_("%s invalidated pasid %u vmids %#x", name_, asked, mask);
  invalidate(mask);
}

void VmHub::reset() {
  for (Context& each : contexts_) {
    each.tlb.clear();
    each.dropped.clear();
  }
  semaphore_taken_ = {};
  requests_.clear();
}

}  // namespace faultline::softgpu
