#include "drm_glue/softgpu/nbio.h"

namespace faultline::softgpu {
namespace {

using namespace nbio;

constexpr std::uint32_t posted = 0x200;  // BIOS_SCRATCH_7: the VBIOS has run
constexpr unsigned pasids = 16;
constexpr std::uint32_t no_aperture = 0xffffff;  // it begins above its end

// The bit of a mapping of a VMID to a PASID in the status register; 32: it is none.
unsigned mapping_bit(unsigned offset) {
  if (offset >= athub::ATC_VMID0_PASID_MAPPING && offset < athub::ATC_VMID0_PASID_MAPPING + pasids)
    return offset - athub::ATC_VMID0_PASID_MAPPING;
  if (offset >= athub::ATC_VMID16_PASID_MAPPING && offset < athub::ATC_VMID16_PASID_MAPPING + pasids)
    return 16 + offset - athub::ATC_VMID16_PASID_MAPPING;
  return 32;
}

}  // namespace

bool Nbio::owns(unsigned offset) const {
  switch (offset) {
    case RCC_CONFIG_MEMSIZE:
    case GPU_HDP_FLUSH_DONE:
    case PCIE_DATA2:
    case athub::ATC_VMID_PASID_MAPPING_UPDATE_STATUS: return true;
    default: return mapping_bit(offset) < 32;
  }
}

std::uint32_t Nbio::read(unsigned offset) const {
  switch (offset) {
    case RCC_CONFIG_MEMSIZE: return static_cast<std::uint32_t>(vram_size_ >> 20);
    case GPU_HDP_FLUSH_DONE: return ~0u;  // nothing is held back
    case PCIE_DATA2: {
      const auto found = smn_.find(registers_[PCIE_INDEX2]);
      return found == smn_.end() ? 0 : found->second;
    }
    default: return registers_[offset];
  }
}

void Nbio::write(unsigned offset, std::uint32_t value) {
  if (offset == PCIE_DATA2) {
    const std::uint32_t address = registers_[PCIE_INDEX2];
    if (smn_.size() < most_smn || smn_.contains(address)) smn_[address] = value;
    log_("smn write %#x = %#x", address, value);
  } else if (offset == athub::ATC_VMID_PASID_MAPPING_UPDATE_STATUS) {
    registers_[offset] &= ~value;
  } else {
    registers_[offset] = value;
    if (const unsigned bit = mapping_bit(offset); bit < 32) registers_[athub::ATC_VMID_PASID_MAPPING_UPDATE_STATUS] |= 1u << bit;
  }
}

void Nbio::reset() {
  smn_.clear();
  registers_[BIOS_SCRATCH_7] = posted;
  const auto base = static_cast<std::uint32_t>(vram_base >> 24),
             top = static_cast<std::uint32_t>((vram_base + vram_size_ - 1) >> 24);
  registers_[mmhub::MC_VM_FB_LOCATION_BASE] = registers_[gc::MC_VM_FB_LOCATION_BASE] = base;
  registers_[mmhub::MC_VM_AGP_BOT] = registers_[gc::MC_VM_AGP_BOT] = no_aperture;
  registers_[mmhub::MC_VM_FB_LOCATION_TOP] = registers_[gc::MC_VM_FB_LOCATION_TOP] = top;
}

}  // namespace faultline::softgpu
