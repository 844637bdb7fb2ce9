// A VM hub (MMHUB for SDMA, GFXHUB for the command processors): page tables of 16 VMIDs, their TLBs, and invalidations.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "drm_glue/softgpu/broken.h"
#include "drm_glue/softgpu/ih.h"

namespace faultline::softgpu {

inline constexpr std::uint64_t gpu_page = 4096;
inline constexpr unsigned vmids = 16;

// Bits of page-table entries of GFX9 (amdgpu_vm.h).
namespace pte {
inline constexpr std::uint64_t valid = 1, system = 2, readable = 1 << 5, writeable = 1 << 6, prt = std::uint64_t{1} << 51,
                               pde_is_pte = std::uint64_t{1} << 54, address = 0x0000'ffff'ffff'f000;
}

struct Fault {
  unsigned vmid = 0;
  std::uint64_t address = 0;
  bool write = false;
  bool retry = false;       // the access waits, and is tried again
  bool permission = false;  // the entry is valid, but not for that
};

// Of an address: where it is, or why it is nowhere.
struct Translation {
  std::optional<Physical> where;
  std::uint64_t left = 0;  // bytes from there that are translated alike
  Fault fault;
};

class VmHub {
 public:
  struct Registers {  // the first of each kind
    unsigned context_cntl, invalidate_sem, invalidate_req, invalidate_ack, base, start, end, fb_base, fb_top, agp_base,
        agp_bottom, agp_top, fault_cntl, fault_status, fault_address, pasid;
    std::uint8_t client;
  };
  static Registers mmhub();
  static Registers gfxhub();

  VmHub(const char* name, const Registers& at, RegisterFile& registers, const Memory& memory, const Time& time, Weather& weather,
        Log& log, Ih& ih)
      : name_(name), at_(at), registers_(registers), memory_(memory), time_(time), weather_(weather), log_(log), ih_(ih) {}

  void set_broken(Broken broken) { broken_ = broken; }

  // By a translation that is held, where there is one that permits it; else by a walk.
  Translation translate(unsigned vmid, std::uint64_t address, bool write);
  // Of a fault that the access should wait for. True: it does not, since the hardware is broken.
  bool drops(const Fault& fault);
  // Tells of a fault: after a while, by IH.
  void tell(const Fault& fault, std::uint8_t ring);
  // An access that had faulted has ended: what was told of it comes before the faults of later ones.
  void settle() { ih_.settle(); }

  bool owns(unsigned offset) const;
  std::uint32_t read(unsigned offset);
  void write(unsigned offset, std::uint32_t value);
  std::optional<nanoseconds> run();
  void invalidate_pasid(std::uint16_t pasid);
  void invalidate_vmid(unsigned vmid) { invalidate(1u << vmid); }
  std::uint16_t pasid(unsigned vmid) const { return static_cast<std::uint16_t>(registers_[at_.pasid + vmid]); }
  // How often translations of a VMID were dropped: who has faulted on it may try again.
  std::uint64_t invalidations(unsigned vmid) const { return contexts_[vmid].invalidations; }
  void reset();

  static constexpr unsigned engines = 18;
  static constexpr std::size_t most_held = 4096;  // translations of a VMID

 private:
  struct Entry {  // of a page
    Physical page;
    bool readable, writeable;
    std::uint64_t walked_after = 0;  // this many invalidations of its VMID
    bool permits(bool write) const { return write ? writeable : readable; }
  };
  struct Context {
    std::unordered_map<std::uint64_t, std::vector<Entry>> tlb;
    std::uint64_t invalidations = 0;
    std::unordered_map<std::uint64_t, std::vector<Entry>> dropped;  // where a freed page is written to
  };
  struct Request {
    unsigned engine;
    std::uint32_t vmids;
    nanoseconds due;
  };
  struct Walk {
    std::optional<Entry> entry;
    Fault fault;
  };

  std::optional<Physical> aperture(std::uint64_t address, std::uint64_t& left) const;
  Walk walk(unsigned vmid, std::uint64_t address, bool write) const;
  void invalidate(std::uint32_t mask);
  std::optional<Entry> freed(Context& context, std::uint64_t page);
  Physical used(unsigned vmid, std::uint64_t address, const Entry& entry);
  bool chance(unsigned one_in) { return ++chances_ % one_in == 0; }

  const char* name_;
  Registers at_;
  RegisterFile& registers_;
  const Memory& memory_;
  const Time& time_;
  Weather& weather_;
  Log& log_;
  Ih& ih_;
  std::array<Context, vmids> contexts_;
  std::array<bool, engines> semaphore_taken_{};
  std::vector<Request> requests_;
  Broken broken_ = Broken::no;
  std::uint64_t chances_ = 0;     // to be broken
  std::uint64_t last_fault_ = 0;  // its page and VMID
};

}  // namespace faultline::softgpu
