// The PM4 packets that the driver's initialisation, its rings and KIQ use (soc15d.h). Others are passed over.
#include <algorithm>

#include "drm_glue/softgpu/gfx.h"

namespace faultline::softgpu {
namespace {

namespace op {
enum : std::uint32_t {
  cond_exec = 0x22,
  write_data = 0x37,
  wait_reg_mem = 0x3c,
  indirect_buffer = 0x3f,
  copy_data = 0x40,
  release_mem = 0x49,
  set_uconfig_reg = 0x79,
  invalidate_tlbs = 0x98,
  map_queues = 0xa2,
  unmap_queues = 0xa3,
};
}

constexpr unsigned uconfig_start = 0xc000;
constexpr unsigned register_mask = 0x3ffff;
constexpr std::uint8_t end_of_pipe = 181;                    // the source of its interrupt
constexpr std::size_t mqd_words = 512, mqd_registers = 128;  // where a queue descriptor (v9_mqd) has CP_MQD_BASE_ADDR
constexpr unsigned deepest = 3;
constexpr std::uint32_t ib_size = 0xfffff;

std::uint64_t address(std::span<const std::uint32_t> words, std::size_t at) {
  return words[at] | std::uint64_t{words[at + 1]} << 32;
}

// Words that each packet must have, beside its head.
std::uint32_t least(std::uint32_t operation) {
  switch (operation) {
    case op::cond_exec: return 4;
    case op::write_data: return 3;
    case op::wait_reg_mem: return 6;
    case op::indirect_buffer: return 3;
    case op::copy_data: return 5;
    case op::release_mem: return 6;
    case op::set_uconfig_reg: return 1;
    case op::invalidate_tlbs: return 1;
    case op::map_queues: return 6;
    case op::unmap_queues: return 2;
    default: return 0;
  }
}

}  // namespace

// A command processor does not wait for faults here: what it needs is mapped.
template <class T>
void Gfx::store(unsigned vmid, std::uint64_t where, const T& value) {
  if (memory_.store(vmid, where, value)) parts_.log("cp fault write vmid %u %#lx", vmid, where);
}
template void Gfx::store(unsigned vmid, std::uint64_t where, const std::uint32_t& value);
template <class T>
T Gfx::load(unsigned vmid, std::uint64_t where) {
  T value{};
  if (memory_.load(vmid, where, value)) parts_.log("cp fault read vmid %u %#lx", vmid, where);
  return value;
}

std::uint32_t Gfx::execute(Words words, Where where, unsigned depth) {
  const std::uint32_t header = words[0], kind = header >> 30, count = (header >> 16 & 0x3fff) + 1, operation = header >> 8 & 0xff;
  if (kind != 3 || count == 0x4000) return 1;  // fillers
  if (count + 1 > words.size() || count < least(operation)) {
    parts_.log("cp ring %#x packet %#x cut", where.ring, header);
    return static_cast<std::uint32_t>(words.size());
  }
  words = words.first(count + 1);
  switch (operation) {
    case op::write_data: write_data(words, where); break;
    case op::wait_reg_mem:
      if (!wait_reg_mem(words, where)) return 0;
      break;
    case op::indirect_buffer: indirect(words, where, depth); break;
    case op::copy_data: copy_data(words, where); break;
    case op::release_mem: release_mem(words, where); break;
    case op::set_uconfig_reg:
      for (std::uint32_t i = 2; i <= count; ++i) parts_.bus.write_register(uconfig_start + (words[1] & 0xffff) + i - 2, words[i]);
      break;
    case op::cond_exec:
      if (load<std::uint32_t>(where.vmid, address(words, 1) & ~std::uint64_t{3}) == 0) return count + 1 + (words[4] & 0x3fff);
      break;
    case op::invalidate_tlbs: {
      const auto pasid = static_cast<std::uint16_t>(words[1] >> 5);
      parts_.gfxhub.invalidate_pasid(pasid);
      if (words[1] >> 4 & 1) parts_.mmhub.invalidate_pasid(pasid);
      break;
    }
    case op::map_queues: map_queue(words); break;
    case op::unmap_queues: unmap_queue(words); break;
    default: break;
  }
  return count + 1;
}

void Gfx::write_data(Words words, Where where) {
  const bool to_register = (words[1] >> 8 & 0xf) == 0, one_address = words[1] >> 16 & 1;
  const Words data = words.subspan(4);
  if (to_register) {
    for (std::size_t i = 0; i < data.size(); ++i)
      parts_.bus.write_register((words[2] & register_mask) + (one_address ? 0 : static_cast<unsigned>(i)), data[i]);
    return;
  }
  for (std::size_t i = 0; i < data.size(); ++i) store(where.vmid, (address(words, 2) & ~std::uint64_t{3}) + 4 * i, data[i]);
}

bool Gfx::wait_reg_mem(Words words, Where where) {
  const std::uint32_t function = words[1] & 7, operation = words[1] >> 6 & 3, mask = words[5], reference = words[4];
  if (operation == 1) {  // writes one register, once, and waits for another
    if (written_.insert(where.ring).second) parts_.bus.write_register(words[2] & register_mask, reference);
    if ((parts_.bus.read_register(words[3] & register_mask) & mask) != (reference & mask)) return false;
    written_.erase(where.ring);
    return true;
  }
  const bool memory = words[1] >> 4 & 1;
  const std::uint32_t value = (memory ? load<std::uint32_t>(where.vmid, address(words, 2) & ~std::uint64_t{3})
                                      : parts_.bus.read_register(words[2] & register_mask)) &
                              mask;
  switch (function) {
    case 1: return value < reference;
    case 2: return value <= reference;
    case 3: return value == reference;
    case 4: return value != reference;
    case 5: return value >= reference;
    case 6: return value > reference;
    default: return true;
  }
}

void Gfx::copy_data(Words words, Where where) {
  const std::uint32_t source = words[1] & 0xf, target = words[1] >> 8 & 0xf;
  std::uint32_t value = 0;
  if (source == 0) value = parts_.bus.read_register(words[2] & register_mask);
  else if (source == 5) value = words[2];
  else value = load<std::uint32_t>(where.vmid, address(words, 2) & ~std::uint64_t{3});
  if (target == 0) parts_.bus.write_register(words[4] & register_mask, value);
  else store(where.vmid, address(words, 4) & ~std::uint64_t{3}, value);
}

void Gfx::release_mem(Words words, Where where) {
  const std::uint32_t select = words[2] >> 29, interrupt = words[2] >> 24 & 3;
  const std::uint64_t to = address(words, 3);
  if (select == 1) store(where.vmid, to & ~std::uint64_t{3}, words[5]);
  if (select == 2) store(where.vmid, to & ~std::uint64_t{7}, address(words, 5));
  if (select == 3) store(where.vmid, to & ~std::uint64_t{7}, parts_.time.ticks());
  parts_.log("cp ring %#x fence %#lx = %u", where.ring, to, words[5]);
  if (!interrupt) return;
  Vector vector{ih_client::grbm_cp, end_of_pipe, where.ring, static_cast<std::uint8_t>(where.vmid)};
  vector.pasid = parts_.gfxhub.pasid(where.vmid);
  parts_.ih.post(vector);
}

void Gfx::indirect(Words words, Where where, unsigned depth) {
  if (depth >= deepest) return;
  if (const unsigned vmid = words[3] >> 24 & 0xf) where.vmid = vmid;
  const std::uint32_t size = words[3] & ib_size;
  if (size > ib_words_left_) {  // buffers that call each other would keep everybody else waiting
    parts_.log("cp ib vmid %u %#lx words %u: too many", where.vmid, address(words, 1), size);
    return;
  }
  ib_words_left_ -= size;
  std::vector<std::uint32_t> buffer(size);
  if (memory_.read(where.vmid, address(words, 1) & ~std::uint64_t{3}, std::as_writable_bytes(std::span(buffer)))) {
    parts_.log("cp fault ib vmid %u %#lx", where.vmid, address(words, 1));
    return;
  }
  for (std::size_t at = 0; at < buffer.size();) {
    const std::uint32_t taken = execute(Words(buffer).subspan(at), where, depth + 1);
    if (taken == 0) {
      parts_.log("cp wait within an ib is passed over");
      at += 7;
    }
    at += taken;
  }
}

void Gfx::map_queue(Words words) {
  const unsigned me = words[1] >> 18 & 1 ? 2 : 1, pipe = words[1] >> 16 & 3, index = words[1] >> 13 & 7;
  std::array<std::uint32_t, mqd_words> mqd{};
  if (memory_.read(0, address(words, 3), std::as_writable_bytes(std::span(mqd)))) return;
  Hqd& queue = queues_[me << 2 | pipe | index << 8];
  std::copy_n(mqd.begin() + mqd_registers, queue.registers.size(), queue.registers.begin());
  queue.rptr = queue.reg(gc::CP_HQD_PQ_RPTR);
  queue.reg(gc::CP_HQD_ACTIVE) = 1;
  parts_.log("hqd me %u pipe %u queue %u mapped doorbell %#x", me, pipe, index, queue.reg(gc::CP_HQD_PQ_DOORBELL_CONTROL));
}

void Gfx::unmap_queue(Words words) {
  const std::uint32_t doorbell = words[2] & 0x0ffffffc;
  for (auto& [key, queue] : queues_)
    if ((queue.reg(gc::CP_HQD_PQ_DOORBELL_CONTROL) & 0x0ffffffc) == doorbell) queue.reg(gc::CP_HQD_ACTIVE) = 0;
}

}  // namespace faultline::softgpu
