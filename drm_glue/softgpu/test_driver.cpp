#include "drm_glue/softgpu/test_driver.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <cstdlib>
#include <thread>

namespace faultline::softgpu {
namespace {

constexpr unsigned ring_log2 = 12;  // words
constexpr auto patience = std::chrono::seconds(20);

template <class Done>
bool within_patience(Done done) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

}  // namespace

TestDriver::TestDriver(Gpu::Options options)
    : gpu((options.vram = vram_bytes, options), time),
      server(gpu.server()),
      client(server.take_client()),
      event(eventfd(0, EFD_NONBLOCK)) {
  if (client.negotiate() || client.map(bus_base, ram_bytes, ram.fd()) || client.listen_for_msi(event.get())) std::abort();
  if (client.region_info(Gpu::vram_bar) || client.reply().descriptors.size() != 1) std::abort();
  vram = std::make_unique<vfio_user::TestMemory>(vfio_user::Descriptor(dup(client.reply().descriptors[0].get())), vram_bytes);

  for (std::uint64_t page = 0; page < ram_bytes / gpu_page; ++page)
    vram->store64(gart_table + 8 * page, (bus_base + page * gpu_page) | from_system);
  const auto context = [&](unsigned vmid, std::uint64_t base, std::uint64_t end, unsigned depth, bool retry) {
    using namespace mmhub;
    for (const auto& [base_at, start_at, end_at, control] :
         {std::array{VM_CONTEXT0_PAGE_TABLE_BASE_ADDR_LO32, VM_CONTEXT0_PAGE_TABLE_START_ADDR_LO32,
                     VM_CONTEXT0_PAGE_TABLE_END_ADDR_LO32, VM_CONTEXT0_CNTL},
          std::array{gc::VM_CONTEXT0_PAGE_TABLE_BASE_ADDR_LO32, gc::VM_CONTEXT0_PAGE_TABLE_START_ADDR_LO32,
                     gc::VM_CONTEXT0_PAGE_TABLE_END_ADDR_LO32, gc::VM_CONTEXT0_CNTL}}) {
      write(base_at + 2 * vmid, static_cast<std::uint32_t>(base | pte::valid));
      write(base_at + 2 * vmid + 1, static_cast<std::uint32_t>(base >> 32));
      write(start_at + 2 * vmid, 0);
      write(end_at + 2 * vmid, static_cast<std::uint32_t>(end));
      write(end_at + 2 * vmid + 1, static_cast<std::uint32_t>(end >> 32));
      write(control + vmid, VM_CONTEXT0_CNTL__ENABLE_CONTEXT.set(1) | VM_CONTEXT0_CNTL__PAGE_TABLE_DEPTH.set(depth) |
                                VM_CONTEXT0_CNTL__RETRY_PERMISSION_OR_INVALID_PAGE_FAULT.set(retry));
    }
  };
  context(0, gart_table, ram_bytes / gpu_page - 1, 0, false);
  for (unsigned level = 0; level < 3; ++level) {  // each in a page of its own, and 512 tables of entries after them
    const std::uint64_t index = va / gpu_page >> 9 * (3 - level) & 511;
    vram->store64(tables + level * gpu_page + 8 * index, (tables + (level + 1) * gpu_page) | pte::valid);
  }
  context(1, tables, 0xfffffffff, 3, true);
  write(osssys::IH_VMID_0_LUT_MM + 1, pasid);
  write(osssys::IH_VMID_0_LUT + 1, pasid);

  using namespace osssys;
  write(IH_RB_BASE, static_cast<std::uint32_t>((bus_base + ih_ring) >> 8));
  write(IH_RB_BASE_HI, 0);
  write(IH_RB_WPTR_ADDR_LO, static_cast<std::uint32_t>(bus_base + ih_wptr));
  write(IH_RB_WPTR_ADDR_HI, 0);
  write(IH_RB_CNTL, IH_RB_CNTL__RB_ENABLE.set(1) | IH_RB_CNTL__RB_SIZE.set(10) | IH_RB_CNTL__WPTR_WRITEBACK_ENABLE.set(1) |
                        IH_RB_CNTL__WPTR_OVERFLOW_ENABLE.set(1) | IH_RB_CNTL__ENABLE_INTR.set(1) | IH_RB_CNTL__RPTR_REARM.set(1) |
                        IH_RB_CNTL__MC_SPACE.set(1));
  write(IH_DOORBELL_RPTR, IH_DOORBELL_RPTR__OFFSET.set(0x1f0) | IH_DOORBELL_RPTR__ENABLE.set(1));
}

unsigned TestDriver::queue_register(const Queue& queue, unsigned of_gfx) const {
  const unsigned first = queue.engine == 0 ? sdma0::SDMA0_GFX_RB_CNTL : sdma1::SDMA1_GFX_RB_CNTL;
  return first + queue.index * SdmaQueue::stride + of_gfx - sdma0::SDMA0_GFX_RB_CNTL;
}

TestDriver::Queue TestDriver::start(unsigned engine, unsigned index) {
  using namespace sdma0;
  const Queue queue{engine, index};
  const bool rlc = index > SdmaQueue::page;
  const auto set = [&](unsigned of_gfx, std::uint64_t value) {
    write(queue_register(queue, of_gfx), static_cast<std::uint32_t>(value));
  };
  std::uint64_t ring = ring_of(queue), rptr = rptr_of(queue);
  if (rlc) {  // the same addresses, above those that tests use
    for (std::uint64_t page = 0; page < 4; ++page)
      map(va + 0x40000 + page * gpu_page, (bus_base + ring + page * gpu_page) | from_system);
    map(va + 0x48000, (bus_base + rptr / gpu_page * gpu_page) | from_system);
    ring = va + 0x40000;
    rptr = va + 0x48000 + rptr % gpu_page;
  }
  set(SDMA0_GFX_RB_BASE, ring >> 8);
  set(SDMA0_GFX_RB_BASE_HI, ring >> 40);
  set(SDMA0_GFX_RB_RPTR_ADDR_LO, rptr);
  set(SDMA0_GFX_RB_RPTR_ADDR_HI, rptr >> 32);
  for (const unsigned each : {SDMA0_GFX_RB_RPTR, SDMA0_GFX_RB_RPTR_HI, SDMA0_GFX_RB_WPTR, SDMA0_GFX_RB_WPTR_HI}) set(each, 0);
  set(SDMA0_GFX_DOORBELL_OFFSET, doorbell_of(queue));
  set(SDMA0_GFX_DOORBELL, SDMA0_GFX_DOORBELL__ENABLE.set(1));
  set(SDMA0_GFX_RB_CNTL, SDMA0_GFX_RB_CNTL__RB_ENABLE.set(1) | SDMA0_GFX_RB_CNTL__RB_SIZE.set(ring_log2) |
                             SDMA0_GFX_RB_CNTL__RPTR_WRITEBACK_ENABLE.set(1) | SDMA0_GFX_RB_CNTL__RB_VMID.set(rlc ? 1 : 0));
  return queue;
}

void TestDriver::put(Queue& queue, const std::vector<std::uint32_t>& words) {
  for (const std::uint32_t word : words) {
    ram.store32(ring_of(queue) + queue.wptr % (std::uint64_t{4} << ring_log2), word);
    queue.wptr += 4;
  }
}

void TestDriver::submit(Queue& queue, const std::vector<std::uint32_t>& words) {
  put(queue, words);
  ring_doorbell(doorbell_of(queue), queue.wptr);
}

void TestDriver::submit_ib(Queue& queue, const std::vector<std::uint32_t>& words, unsigned page) {
  const std::uint64_t at = data + page * gpu_page, address = va + page * gpu_page;
  map(address, (bus_base + at) | from_system);
  for (std::size_t i = 0; i < words.size(); ++i) ram.store32(at + 4 * i, words[i]);
  submit(queue, {4 | 1 << 16, static_cast<std::uint32_t>(address), static_cast<std::uint32_t>(address >> 32),
                 static_cast<std::uint32_t>(words.size()), 0, 0});
}

std::uint64_t TestDriver::entry_at(std::uint64_t address) { return tables + 3 * gpu_page + 8 * (address / gpu_page % 512); }

void TestDriver::invalidate(unsigned vmid) {
  constexpr unsigned engine = 17;
  using namespace mmhub;
  write(VM_INVALIDATE_ENG0_REQ + engine, VM_INVALIDATE_ENG0_REQ__PER_VMID_INVALIDATE_REQ.set(1u << vmid) |
                                             VM_INVALIDATE_ENG0_REQ__INVALIDATE_L2_PTES.set(1) |
                                             VM_INVALIDATE_ENG0_REQ__INVALIDATE_L1_PTES.set(1));
  if (!within_patience([&] { return read(VM_INVALIDATE_ENG0_ACK + engine) >> vmid & 1; })) std::abort();
}

std::vector<Vector> TestDriver::vectors(std::size_t count) {
  constexpr std::uint32_t mask = ih_bytes - 1;
  const auto there = [&] { return ((ram.load32(ih_wptr) - ih_rptr) & mask) / Ih::vector_bytes; };
  if (!within_patience([&] { return there() >= count; })) return {};
  std::vector<Vector> result;
  for (; count > 0; --count, ih_rptr = (ih_rptr + Ih::vector_bytes) & mask) {
    const auto word = [&](unsigned index) { return ram.load32(ih_ring + ih_rptr + 4 * index); };
    const std::uint32_t head = word(0);
    result.push_back({static_cast<std::uint8_t>(head),
                      static_cast<std::uint8_t>(head >> 8),
                      static_cast<std::uint8_t>(head >> 16),
                      static_cast<std::uint8_t>(head >> 24 & 0xf),
                      static_cast<std::uint16_t>(word(3)),
                      {word(4), word(5)}});
  }
  ring_doorbell(0x1f0 * 4, ih_rptr);
  return result;
}

bool TestDriver::comes(std::uint64_t offset, std::uint32_t value) {
  return within_patience([&] { return ram.load32(offset) == value; });
}

bool TestDriver::msi() {
  std::uint64_t told;
  return within_patience([&] { return ::read(event.get(), &told, sizeof told) == sizeof told; });
}

std::vector<std::uint32_t> TestDriver::copy(std::uint64_t to, std::uint64_t from, std::uint32_t bytes) {
  return {1,
          bytes - 1,
          0,
          static_cast<std::uint32_t>(from),
          static_cast<std::uint32_t>(from >> 32),
          static_cast<std::uint32_t>(to),
          static_cast<std::uint32_t>(to >> 32)};
}

std::vector<std::uint32_t> TestDriver::write_words(std::uint64_t to, std::initializer_list<std::uint32_t> words) {
  std::vector<std::uint32_t> packet{2, static_cast<std::uint32_t>(to), static_cast<std::uint32_t>(to >> 32),
                                    static_cast<std::uint32_t>(words.size() - 1)};
  packet.insert(packet.end(), words);
  return packet;
}

std::vector<std::uint32_t> TestDriver::fence_and_trap(std::uint32_t value) { return {5, fence, 0, value, 6, 0}; }

}  // namespace faultline::softgpu
