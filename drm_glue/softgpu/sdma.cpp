#include "drm_glue/softgpu/sdma.h"

#include <algorithm>
#include <array>
#include <utility>

namespace faultline::softgpu {
namespace {

using namespace sdma0;

constexpr std::uint64_t words_at_first = 16;  // of a packet, before its length is known
constexpr nanoseconds poll_interval{50'000};  // the machine has other work
static_assert(SDMA0_RLC7_RB_CNTL == SDMA0_GFX_RB_CNTL + 9 * SdmaQueue::stride);
static_assert(sdma1::SDMA1_PAGE_RB_CNTL - sdma1::SDMA1_GFX_RB_CNTL == SdmaQueue::stride);

unsigned first_register(unsigned engine) { return engine == 0 ? SDMA0_GFX_RB_CNTL : sdma1::SDMA1_GFX_RB_CNTL; }

}  // namespace

SdmaQueue::SdmaQueue(const SdmaParts& parts, unsigned engine, unsigned index)
    : parts_(parts),
      engine_(engine),
      index_(index),
      base_(first_register(engine) + index * stride),
      memory_(parts.hub, parts.memory, parts.log, static_cast<std::uint8_t>(index)) {}

// An RLC queue needs its doorbell: amdkfd sets RB_ENABLE again of a queue that it has taken away.
bool SdmaQueue::enabled() const {
  const unsigned control = engine_ == 0 ? SDMA0_F32_CNTL : sdma1::SDMA1_F32_CNTL;
  if (SDMA0_F32_CNTL__HALT.of(parts_.registers[control])) return false;
  if (!SDMA0_GFX_RB_CNTL__RB_ENABLE.of(reg(SDMA0_GFX_RB_CNTL))) return false;
  return index_ <= page || SDMA0_GFX_DOORBELL__ENABLE.of(reg(SDMA0_GFX_DOORBELL));
}

std::uint32_t SdmaQueue::read(unsigned offset) const {
  const unsigned of_gfx = offset - base_ + SDMA0_GFX_RB_CNTL;
  if (of_gfx == SDMA0_GFX_CONTEXT_STATUS) return SDMA0_GFX_CONTEXT_STATUS__IDLE.mask;  // between two steps it always is
  return parts_.registers[offset];
}

void SdmaQueue::write(unsigned offset, std::uint32_t value) {
  parts_.registers[offset] = value;
  if (offset == base_ + (SDMA0_GFX_DOORBELL - SDMA0_GFX_RB_CNTL) && !SDMA0_GFX_DOORBELL__ENABLE.of(value)) captured_.reset();
  if (offset != base_) return;
  const bool on = SDMA0_GFX_RB_CNTL__RB_ENABLE.of(value);
  if (!on) reset();
  if (on && captured_) take_doorbell(*std::exchange(captured_, std::nullopt));
  if (!on && index_ > page && parts_.flush_with_queue) parts_.hub.invalidate_vmid(ring_vmid());
  parts_.log("sdma%u queue %u %s vmid %u", engine_, index_, on ? "on" : "off", ring_vmid());
}

void SdmaQueue::reset() {
  ready_ = nanoseconds(0);
  faulting_ = write_back_ = false;
  progress_ = 0;
  ib_.reset();
}

bool SdmaQueue::doorbell(std::uint64_t offset, std::uint64_t value, std::size_t bytes) {
  if (!SDMA0_GFX_DOORBELL__ENABLE.of(reg(SDMA0_GFX_DOORBELL))) return false;
  const std::uint64_t mine = reg(SDMA0_GFX_DOORBELL_OFFSET) & SDMA0_GFX_DOORBELL_OFFSET__OFFSET.mask;
  std::uint64_t wptr = captured_.value_or(pair(SDMA0_GFX_RB_WPTR, SDMA0_GFX_RB_WPTR_HI));
  if (offset == mine) wptr = bytes == 8 ? value : (wptr & ~std::uint64_t{0xffffffff}) | static_cast<std::uint32_t>(value);
  else if (offset == mine + 4 && bytes == 4) wptr = static_cast<std::uint32_t>(wptr) | value << 32;
  else return false;
  // amdkfd reads a process's write pointer, and writes the register later. A doorbell in between counts in the end.
  if (SDMA0_GFX_RB_CNTL__RB_ENABLE.of(reg(SDMA0_GFX_RB_CNTL))) take_doorbell(wptr);
  else captured_ = wptr;
  return true;
}

void SdmaQueue::take_doorbell(std::uint64_t wptr) {
  reg(SDMA0_GFX_RB_WPTR) = static_cast<std::uint32_t>(wptr);
  reg(SDMA0_GFX_RB_WPTR_HI) = static_cast<std::uint32_t>(wptr >> 32);
  parts_.log("sdma%u queue %u doorbell %#lx", engine_, index_, wptr);
  ready_ = std::max(ready_, parts_.time.now() + parts_.weather.doorbell());
}

std::optional<nanoseconds> SdmaQueue::run() {
  if (!enabled()) return std::nullopt;
  const nanoseconds now = parts_.time.now();
  const bool woken = faulting_ && invalidations_ != parts_.hub.invalidations(fault_.vmid);
  if (now < ready_ && !woken) return ready_;
  if (!ib_ && !write_back_ && pair(SDMA0_GFX_RB_RPTR, SDMA0_GFX_RB_RPTR_HI) == pair(SDMA0_GFX_RB_WPTR, SDMA0_GFX_RB_WPTR_HI))
    return std::nullopt;
  const Outcome outcome = step();
  switch (outcome.kind) {
    case Outcome::Kind::faulted: wait_for(*outcome.fault); break;
    case Outcome::Kind::polls: ready_ = now + poll_interval; break;
    case Outcome::Kind::cut: return std::nullopt;  // the rest of it comes with a doorbell
    case Outcome::Kind::done:
    case Outcome::Kind::partly:
      if (faulting_) parts_.hub.settle();
      faulting_ = false;
      ready_ = now + outcome.pause;
  }
  return ready_;
}

// The fault is told when it is new, and again after a while. The access is tried again more often.
void SdmaQueue::wait_for(const Fault& fault) {
  const nanoseconds now = parts_.time.now();
  const bool same = faulting_ && fault.vmid == fault_.vmid && fault.address / gpu_page == fault_.address / gpu_page &&
                    fault.write == fault_.write;
  if (!same || now >= tell_again_) {
    parts_.hub.tell(fault, static_cast<std::uint8_t>(index_));
    tell_again_ = now + parts_.weather.fault_again();
  }
  faulting_ = true;
  fault_ = fault;
  invalidations_ = parts_.hub.invalidations(fault.vmid);
  ready_ = now + parts_.weather.retry();
}

SdmaQueue::Outcome SdmaQueue::after(std::uint32_t words, const std::optional<Fault>& fault) {
  if (fault) return {Outcome::Kind::faulted, 0, fault, {}};
  return done(words);
}

SdmaQueue::Outcome SdmaQueue::step() {
  if (write_back_) {
    const std::uint64_t rptr = pair(SDMA0_GFX_RB_RPTR, SDMA0_GFX_RB_RPTR_HI);
    const std::uint64_t address = pair(SDMA0_GFX_RB_RPTR_ADDR_LO, SDMA0_GFX_RB_RPTR_ADDR_HI) & ~std::uint64_t{3};
    if (const auto fault = memory_.store(ring_vmid(), address, rptr)) return after(0, fault);
    write_back_ = false;
    return done(0);
  }
  return ib_ ? step_of_ib() : step_of_ring();
}

std::optional<Fault> SdmaQueue::read_ring(std::uint64_t rptr, std::span<std::uint32_t> words) {
  const std::uint64_t base = pair(SDMA0_GFX_RB_BASE, SDMA0_GFX_RB_BASE_HI) << 8, all = ring_words();
  while (!words.empty()) {
    const std::uint64_t at = rptr / 4 % all;
    const auto part = words.first(std::min<std::uint64_t>(words.size(), all - at));
    if (const auto fault = memory_.read(ring_vmid(), base + 4 * at, std::as_writable_bytes(part))) return fault;
    words = words.subspan(part.size());
    rptr += 4 * part.size();
  }
  return std::nullopt;
}

SdmaQueue::Outcome SdmaQueue::step_of_ring() {
  const std::uint64_t rptr = pair(SDMA0_GFX_RB_RPTR, SDMA0_GFX_RB_RPTR_HI), wptr = pair(SDMA0_GFX_RB_WPTR, SDMA0_GFX_RB_WPTR_HI);
  const std::uint64_t left = (wptr - rptr) / 4;
  if (wptr < rptr || left > ring_words() || left == 0) {
    parts_.log("sdma%u queue %u bad pointers rptr %#lx wptr %#lx", engine_, index_, rptr, wptr);
    reg(SDMA0_GFX_RB_RPTR) = reg(SDMA0_GFX_RB_WPTR);
    reg(SDMA0_GFX_RB_RPTR_HI) = reg(SDMA0_GFX_RB_WPTR_HI);
    return done(0);
  }
  std::vector<std::uint32_t> words(std::min(left, words_at_first));
  if (const auto fault = read_ring(rptr, words)) return after(0, fault);
  if (const std::uint32_t needed = length(words); needed > words.size()) {
    if (needed > left) return {Outcome::Kind::cut, 0, std::nullopt, {}};
    words.resize(needed);
    if (const auto fault = read_ring(rptr, words)) return after(0, fault);
  }
  Outcome outcome = execute(words, ring_vmid());
  if (outcome.kind != Outcome::Kind::done) return outcome;
  progress_ = 0;
  if (ib_) ib_->ring_words = outcome.words;
  else finish(static_cast<std::uint32_t>(std::min<std::uint64_t>(outcome.words, left)));
  outcome.pause = parts_.weather.packet();
  return outcome;
}

void SdmaQueue::finish(std::uint32_t words) {
  const std::uint64_t rptr = pair(SDMA0_GFX_RB_RPTR, SDMA0_GFX_RB_RPTR_HI) + 4 * std::uint64_t{words};
  reg(SDMA0_GFX_RB_RPTR) = static_cast<std::uint32_t>(rptr);
  reg(SDMA0_GFX_RB_RPTR_HI) = static_cast<std::uint32_t>(rptr >> 32);
  write_back_ = SDMA0_GFX_RB_CNTL__RPTR_WRITEBACK_ENABLE.of(reg(SDMA0_GFX_RB_CNTL)) != 0;
}

// A page at a time.
SdmaQueue::Outcome SdmaQueue::fetch_ib() {
  const std::size_t have = ib_->words.size();
  const std::uint64_t from = ib_->address + 4 * have;
  std::array<std::uint32_t, gpu_page / 4> words;
  const auto part = std::span(words).first(std::min<std::uint64_t>(ib_->size - have, (gpu_page - from % gpu_page) / 4));
  if (const auto fault = memory_.read(ib_->vmid, from, std::as_writable_bytes(part))) return after(0, fault);
  ib_->words.insert(ib_->words.end(), part.begin(), part.end());
  return done(0);
}

SdmaQueue::Outcome SdmaQueue::step_of_ib() {
  if (ib_->words.size() < ib_->size) return fetch_ib();
  const Words words = Words(ib_->words).subspan(std::min(ib_->at, ib_->words.size()));
  if (words.empty() || length(words) > words.size()) {
    if (!words.empty()) parts_.log("sdma%u queue %u ib ends within a packet %#x", engine_, index_, words[0]);
    finish(ib_->ring_words);
    ib_.reset();
    progress_ = 0;
    return done(0);
  }
  Outcome outcome = execute(words, ib_->vmid);
  if (outcome.kind != Outcome::Kind::done || !ib_) return outcome;  // a packet may stop its own queue
  progress_ = 0;
  ib_->at += outcome.words;
  outcome.pause = parts_.weather.packet();
  return outcome;
}

Sdma::Sdma(const SdmaParts& parts) : weather_(parts.weather) {
  for (unsigned engine = 0; engine < 2; ++engine)
    for (unsigned index = 0; index < SdmaQueue::count; ++index)
      queues_.push_back(std::make_unique<SdmaQueue>(parts, engine, index));
}

std::optional<nanoseconds> Sdma::run() {
  std::optional<nanoseconds> next;
  const std::size_t first = weather_.below(queues_.size());
  for (std::size_t i = 0; i < queues_.size(); ++i) next = sooner(next, queues_[(first + i) % queues_.size()]->run());
  return next;
}

bool Sdma::doorbell(std::uint64_t offset, std::uint64_t value, std::size_t bytes) {
  return std::ranges::any_of(queues_, [&](const auto& each) { return each->doorbell(offset, value, bytes); });
}

SdmaQueue* Sdma::queue_of(unsigned offset) {
  const auto found = std::ranges::find_if(queues_, [&](const auto& each) { return each->owns(offset); });
  return found == queues_.end() ? nullptr : found->get();
}

void Sdma::reset() {
  for (const auto& each : queues_) each->reset();
}

}  // namespace faultline::softgpu
