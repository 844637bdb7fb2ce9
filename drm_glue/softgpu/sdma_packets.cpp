// The packets of SDMA 4.2 (vega10_sdma_pkt_open.h).
#include <algorithm>

#include "drm_glue/softgpu/sdma.h"

namespace faultline::softgpu {
namespace {

namespace op {
enum : std::uint32_t {
  nop = 0,
  copy = 1,
  write = 2,
  indirect = 4,
  fence = 5,
  trap = 6,
  semaphore = 7,
  poll = 8,
  conditional = 9,
  atomic = 10,
  fill = 11,
  entries = 12,
  timestamp = 13,
  register_write = 14,
  pre_execute = 15,
  dummy_trap = 16,
};
}

constexpr std::uint8_t trap_source = 224;
constexpr std::uint64_t entries_at_once = 512;

std::uint64_t address(std::span<const std::uint32_t> words, std::size_t at) {
  return words[at] | std::uint64_t{words[at + 1]} << 32;
}
std::uint32_t sub_op(std::uint32_t header) { return header >> 8 & 0xff; }
std::uint64_t to_page_end(std::uint64_t address) { return gpu_page - address % gpu_page; }

template <class T>
T changed(unsigned operation, T old, T operand, T expected) {
  using Signed = std::make_signed_t<T>;
  switch (operation) {  // TC_OP_ATOMIC_*_RTN_32 (vega10_enum.h)
    case 0x07: return operand;
    case 0x08: return old == expected ? operand : old;
    case 0x0f: return old + operand;
    case 0x10: return old - operand;
    case 0x11: return static_cast<T>(std::min(static_cast<Signed>(old), static_cast<Signed>(operand)));
    case 0x12: return std::min(old, operand);
    case 0x13: return static_cast<T>(std::max(static_cast<Signed>(old), static_cast<Signed>(operand)));
    case 0x14: return std::max(old, operand);
    case 0x15: return old & operand;
    case 0x16: return old | operand;
    case 0x17: return old ^ operand;
    case 0x18: return old >= operand ? 0 : old + 1;
    case 0x19: return old == 0 || old > operand ? operand : old - 1;
    default: return old;
  }
}

bool compares(std::uint32_t function, std::uint32_t value, std::uint32_t reference) {
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

}  // namespace

std::uint32_t SdmaQueue::length(Words words) {
  const std::uint32_t header = words[0];
  switch (header & 0xff) {
    case op::nop: return 1 + (header >> 16 & 0x3fff);
    case op::copy: return sub_op(header) == 0 ? 7 : 0;
    case op::write: return words.size() < 4 ? 4 : sub_op(header) == 0 ? 5 + (words[3] & 0xfffff) : 0;
    case op::indirect: return 6;
    case op::fence: return 4;
    case op::trap: return 2;
    case op::semaphore: return 3;
    case op::poll: return 6;
    case op::conditional: return 5;
    case op::atomic: return 8;
    case op::fill: return 5;
    case op::entries: return sub_op(header) == 0 ? 10 : sub_op(header) == 1 ? 8 : sub_op(header) == 2 ? 7 : 0;
    case op::timestamp: return 3;
    case op::register_write: return 3;
    case op::pre_execute: return 2;
    case op::dummy_trap: return 2;
    default: return 0;
  }
}

SdmaQueue::Outcome SdmaQueue::execute(Words words, unsigned vmid) {
  const std::uint32_t needed = length(words);
  if (needed == 0) {
    parts_.log("sdma%u queue %u unknown packet %#x", engine_, index_, words[0]);
    return done(1);
  }
  if (needed > words.size()) return {Outcome::Kind::cut, 0, std::nullopt, {}};
  switch (words[0] & 0xff) {
    case op::copy: return copy(words, vmid);
    case op::write: return write_data(words, vmid);
    case op::indirect: return indirect(words, vmid);
    case op::fence: {
      const Outcome outcome = after(4, memory_.store(vmid, address(words, 1) & ~std::uint64_t{3}, words[3]));
      if (!outcome.fault)
        parts_.log("sdma%u queue %u fence vmid %u %#lx = %u", engine_, index_, vmid, address(words, 1), words[3]);
      return outcome;
    }
    case op::trap: return trap(words, vmid);
    case op::poll: return poll(words, vmid);
    case op::conditional: return conditional(words, vmid);
    case op::atomic: return atomic(words, vmid);
    case op::fill: return fill(words, vmid);
    case op::entries: return entries(words, vmid);
    case op::timestamp: return timestamp(words, vmid);
    case op::register_write: return register_write(words, vmid);
    default: return done(needed);
  }
}

// Other pages of the same packet may fault first.
void SdmaQueue::look_ahead(unsigned vmid, std::uint64_t address, std::uint64_t bytes, bool write) {
  const std::uint64_t next = address / gpu_page + 1, end = (address + bytes - 1) / gpu_page + 1;
  if (faulting_ || next >= end || !parts_.weather.look_ahead()) return;
  const std::uint64_t page = next + parts_.weather.below(std::min<std::uint64_t>(end - next, 16));
  const Translation found = parts_.hub.translate(vmid, page * gpu_page, write);
  if (!found.where && found.fault.retry) parts_.hub.tell(found.fault, static_cast<std::uint8_t>(index_));
}

// Page by page, so that mappings may change in between.
SdmaQueue::Outcome SdmaQueue::copy(Words words, unsigned vmid) {
  const std::uint64_t bytes = (words[1] & 0x3fffff) + 1, from = address(words, 3), to = address(words, 5);
  if (progress_ == 0 && !faulting_)
    parts_.log("sdma%u queue %u copy vmid %u %#lx to %#lx bytes %lu", engine_, index_, vmid, from, to, bytes);
  if (progress_ < bytes) {
    const std::uint64_t left = bytes - progress_;
    const std::uint64_t part = std::min({left, to_page_end(from + progress_), to_page_end(to + progress_)});
    if (const auto fault = memory_.copy(vmid, to + progress_, from + progress_, part)) {
      look_ahead(vmid, fault->address, left, fault->write);
      return after(0, fault);
    }
    progress_ += part;
  }
  if (progress_ < bytes) return {Outcome::Kind::partly, 0, std::nullopt, parts_.weather.page_of_copy()};
  return done(7);
}

SdmaQueue::Outcome SdmaQueue::write_data(Words words, unsigned vmid) {
  const std::uint32_t count = (words[3] & 0xfffff) + 1;
  const std::vector<std::uint32_t> aligned(words.begin() + 4, words.begin() + 4 + count);  // entries are written at once
  const auto bytes = std::as_bytes(std::span(aligned));
  const std::uint64_t to = address(words, 1) & ~std::uint64_t{3};
  while (progress_ < bytes.size()) {
    const std::uint64_t part = std::min(bytes.size() - progress_, to_page_end(to + progress_));
    if (const auto fault = memory_.write(vmid, to + progress_, bytes.subspan(progress_, part))) return after(0, fault);
    progress_ += part;
  }
  parts_.log("sdma%u queue %u write vmid %u %#lx words %u", engine_, index_, vmid, to, count);
  return done(4 + count);
}

SdmaQueue::Outcome SdmaQueue::fill(Words words, unsigned vmid) {
  const bool whole_words = words[0] >> 30 == 2;
  const std::uint64_t count = words[4] & 0x3fffff, bytes = whole_words ? (count & ~std::uint64_t{3}) + 4 : count + 1;
  const std::uint64_t to = address(words, 1);
  alignas(8) std::uint32_t values[gpu_page / 4 + 1];
  std::ranges::fill(values, words[3]);
  if (progress_ < bytes) {
    const std::uint64_t part = std::min(bytes - progress_, to_page_end(to + progress_));
    const auto pattern = std::as_bytes(std::span(values)).subspan(progress_ % 4, part);
    if (const auto fault = memory_.write(vmid, to + progress_, pattern)) {
      look_ahead(vmid, fault->address, bytes - progress_, true);
      return after(0, fault);
    }
    progress_ += part;
  }
  if (progress_ < bytes) return {Outcome::Kind::partly, 0, std::nullopt, parts_.weather.page_of_copy()};
  parts_.log("sdma%u queue %u fill vmid %u %#lx = %#x bytes %lu", engine_, index_, vmid, to, words[3], bytes);
  return done(5);
}

SdmaQueue::Outcome SdmaQueue::indirect(Words words, unsigned vmid) {
  if (ib_) {
    parts_.log("sdma%u queue %u ib within an ib", engine_, index_);
    return done(6);
  }
  ib_ = Ib{};
  ib_->address = address(words, 1) & ~std::uint64_t{31};
  ib_->vmid = vmid ? vmid : words[0] >> 16 & 0xf;
  ib_->size = words[3] & 0xfffff;
  parts_.log("sdma%u queue %u ib vmid %u %#lx words %u", engine_, index_, ib_->vmid, ib_->address, ib_->size);
  return done(6);
}

SdmaQueue::Outcome SdmaQueue::trap(Words words, unsigned vmid) {
  Vector vector{engine_ == 0 ? ih_client::sdma0 : ih_client::sdma1, trap_source, static_cast<std::uint8_t>(index_),
                static_cast<std::uint8_t>(vmid)};
  vector.pasid = parts_.hub.pasid(vmid);
  vector.data[0] = words[1] & 0xfffffff;
  parts_.ih.post(vector);
  return done(2);
}

SdmaQueue::Outcome SdmaQueue::poll(Words words, unsigned vmid) {
  const bool memory = words[0] >> 31, flush = words[0] >> 26 & 1;
  std::uint32_t value = 0;
  if (flush) return done(6);  // HDP holds nothing back here
  if (memory) {
    if (const auto fault = memory_.load(vmid, address(words, 1) & ~std::uint64_t{3}, value)) return after(0, fault);
  } else if (vmid == 0) {
    value = parts_.bus.read_register(words[1] >> 2 & 0x3ffff);
  }
  if (compares(words[0] >> 28 & 7, value & words[4], words[3] & words[4])) return done(6);
  return {Outcome::Kind::polls, 0, std::nullopt, {}};
}

SdmaQueue::Outcome SdmaQueue::conditional(Words words, unsigned vmid) {
  std::uint32_t value = 0;
  if (const auto fault = memory_.load(vmid, address(words, 1) & ~std::uint64_t{3}, value)) return after(0, fault);
  return done(value == words[3] ? 5 : 5 + (words[4] & 0x3fff));
}

SdmaQueue::Outcome SdmaQueue::atomic(Words words, unsigned vmid) {
  const unsigned operation = words[0] >> 25 & 0x7f, kind = operation & 0x1f;
  const std::uint64_t where = address(words, 1), operand = address(words, 3), expected = address(words, 5);
  const bool wide = operation & 0x20, loop = words[0] >> 16 & 1 && kind == 0x08;
  bool failed = false;
  const auto with = [&]<class T>(T) {
    return memory_.update<T>(vmid, where, [&](T old) {
      failed = old != static_cast<T>(expected);
      return changed<T>(kind, old, static_cast<T>(operand), static_cast<T>(expected));
    });
  };
  if (const auto fault = wide ? with(std::uint64_t{}) : with(std::uint32_t{})) return after(0, fault);
  if (loop && failed) return {Outcome::Kind::polls, 0, std::nullopt, {}};
  return done(8);
}

// Page-table entries: made, copied under a mask, or changed.
SdmaQueue::Outcome SdmaQueue::entries(Words words, unsigned vmid) {
  const std::uint32_t sub = sub_op(words[0]);
  if (sub == 2) {
    const std::uint64_t mask = address(words, 3), value = address(words, 5);
    return after(7, memory_.update<std::uint64_t>(vmid, address(words, 1),
                                                  [&](std::uint64_t old) { return (old & ~mask) | (value & mask); }));
  }
  const std::uint64_t count = (sub == 0 ? words[9] : words[7]) & 0x7ffff, all = count + 1;
  const std::uint64_t end = std::min(all, progress_ + entries_at_once);
  for (; progress_ < end; ++progress_) {
    std::uint64_t entry;
    if (sub == 0) {
      entry = (address(words, 5) + progress_ * address(words, 7)) | address(words, 3);
    } else {
      if (const auto fault = memory_.load(vmid, address(words, 1) + 8 * progress_, entry)) return after(0, fault);
      entry |= address(words, 5);
    }
    if (const auto fault = memory_.store(vmid, address(words, sub == 0 ? 1 : 3) + 8 * progress_, entry)) return after(0, fault);
  }
  if (progress_ < all) return {Outcome::Kind::partly, 0, std::nullopt, parts_.weather.page_of_copy()};
  parts_.log("sdma%u queue %u entries %#lx count %lu", engine_, index_, address(words, sub == 0 ? 1 : 3), all);
  return done(sub == 0 ? 10 : 8);
}

SdmaQueue::Outcome SdmaQueue::timestamp(Words words, unsigned vmid) {
  if (sub_op(words[0]) == 0) return done(3);
  return after(3, memory_.store(vmid, address(words, 1) & ~std::uint64_t{7}, parts_.time.ticks()));
}

SdmaQueue::Outcome SdmaQueue::register_write(Words words, unsigned vmid) {
  if (vmid == 0) parts_.bus.write_register(words[1] & 0x3ffff, words[2]);
  else parts_.log("sdma%u queue %u vmid %u may write no register", engine_, index_, vmid);
  return done(3);
}

}  // namespace faultline::softgpu
