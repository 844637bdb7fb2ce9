// For tests: drives the GPU through a vfio-user client, as the driver does.
#pragma once

#include <initializer_list>
#include <memory>
#include <vector>

#include "drm_glue/softgpu/gpu.h"
#include "drm_glue/softgpu/vfio_user/test_client.h"

namespace faultline::softgpu {

// Memory of the machine is at `bus_base`. GART maps all of it, from the GPU's address 0 on. VMID 1 has four levels of
// tables in VRAM. There is an IH ring, and rings of any SDMA queue.
class TestDriver {
 public:
  static constexpr std::uint64_t bus_base = 0x4000'0000, ram_bytes = 8 << 20, vram_bytes = 64 << 20;
  static constexpr std::uint64_t ih_ring = 0x10000, ih_bytes = 4096, ih_wptr = 0x1000;            // in memory
  static constexpr std::uint64_t fence = 0x3000, data = 0x400000;                                 // the test's
  static constexpr std::uint64_t gart_table = 0x100000, tables = 0x200000, vram_data = 0x800000;  // in VRAM
  static constexpr std::uint64_t va = 0x7f00'1000'0000;                                           // of VMID 1
  static constexpr std::uint64_t from_system = pte::valid | pte::system | pte::readable | pte::writeable;
  static constexpr std::uint64_t from_vram = pte::valid | pte::readable | pte::writeable;
  static constexpr std::uint16_t pasid = 0x8001;

  explicit TestDriver(std::uint64_t seed = 0, bool flush_with_queue = false)
      : TestDriver({.seed = seed, .flush_with_queue = flush_with_queue}) {}
  explicit TestDriver(Gpu::Options options);

  std::uint32_t read(unsigned offset) { return client.read32(Gpu::register_bar, offset * 4); }
  void write(unsigned offset, std::uint32_t value) { client.write32(Gpu::register_bar, offset * 4, value, true); }
  void ring_doorbell(std::uint64_t offset, std::uint64_t value) { client.write64(Gpu::doorbell_bar, offset, value, true); }

  // A queue of SDMA: its ring, and words that are put into it. An RLC queue is of VMID 1, where its ring is mapped.
  struct Queue {
    unsigned engine = 0, index = 0;
    std::uint64_t wptr = 0;
  };
  Queue start(unsigned engine, unsigned index);
  unsigned queue_register(const Queue& queue, unsigned of_gfx) const;
  static std::uint64_t ring_of(const Queue& queue) { return 0x20000 + (queue.engine * SdmaQueue::count + queue.index) * 0x10000; }
  static std::uint64_t rptr_of(const Queue& queue) { return 0x2000 + 8 * (queue.engine * SdmaQueue::count + queue.index); }
  static std::uint64_t doorbell_of(const Queue& queue) { return 0x800 + 8 * (queue.engine * SdmaQueue::count + queue.index); }
  void put(Queue& queue, const std::vector<std::uint32_t>& words);
  void submit(Queue& queue, const std::vector<std::uint32_t>& words);
  // An indirect buffer of VMID 1, at va + `page` pages, in memory that it is mapped to.
  void submit_ib(Queue& queue, const std::vector<std::uint32_t>& words, unsigned page = 15);

  // Entries of VMID 1.
  std::uint64_t entry_at(std::uint64_t address);  // where it is in VRAM
  void map(std::uint64_t address, std::uint64_t entry) { vram->store64(entry_at(address), entry); }
  // By an invalidation engine; waits for it.
  void invalidate(unsigned vmid);

  // Vectors of the IH ring that were not read yet. Waits until there are so many, for seconds; then empty.
  std::vector<Vector> vectors(std::size_t count);
  bool comes(std::uint64_t offset, std::uint32_t value);  // into memory, within seconds
  bool msi();                                             // within seconds

  static std::vector<std::uint32_t> copy(std::uint64_t to, std::uint64_t from, std::uint32_t bytes);
  static std::vector<std::uint32_t> write_words(std::uint64_t to, std::initializer_list<std::uint32_t> words);
  static std::vector<std::uint32_t> fence_and_trap(std::uint32_t value);

  RealTime time;
  Gpu gpu;
  vfio_user::TestServer server;
  vfio_user::TestClient client;
  vfio_user::TestMemory ram{ram_bytes};
  std::unique_ptr<vfio_user::TestMemory> vram;
  vfio_user::Descriptor event;
  std::uint32_t ih_rptr = 0;
};

}  // namespace faultline::softgpu
