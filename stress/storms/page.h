// What is known of one page of a victim, and what an access to it may show. See victim.h.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace faultline::storms {

enum class Rights : std::uint32_t { all, read, none, absent };

// Written by the thread that changes the mapping, read by the thread that uses the page.
struct PageState {
  std::atomic<std::uint32_t> version;  // odd: a call that changes the rights is running
  std::atomic<Rights> rights;
  std::atomic<std::uint32_t> drops_begun;
  std::atomic<std::uint32_t> drops_done;
  std::atomic<std::uint64_t> newest;  // the last value whose store has begun
};

// An access: how the page was when it began, and when it ended.
struct Moment {
  std::uint32_t version = 0;
  Rights rights = Rights::all;
  std::uint32_t drops_begun = 0;
  std::uint32_t drops_done = 0;
};
inline Moment moment_of(const PageState& page) {
  // In this order: `version` tells whether `rights` is of one moment; at the beginning of an access `drops_done` must be no
  // newer, and at its end `drops_begun` no older, than the access.
  Moment moment;
  moment.drops_done = page.drops_done.load();
  moment.version = page.version.load();
  moment.rights = page.rights.load();
  moment.drops_begun = page.drops_begun.load();
  return moment;
}

// What its only writer knows.
class PageHistory {
 public:
  // Null, or what is wrong.
  const char* stored(const Moment& before, const Moment& after, std::uint64_t value, int error) {
    const char* wrong = failed(before, after, error, Rights::all);
    if (error != 0) return wrong;
    last_ = value;
    from_ = before.drops_done;
    upto_ = after.drops_begun;
    return wrong;
  }

  const char* loaded(const Moment& before, const Moment& after, std::uint64_t value, int error, bool& exact) {
    if (const char* wrong = failed(before, after, error, Rights::read); wrong != nullptr || error != 0) return wrong;
    exact = true;
    if (before.drops_done > upto_)
      return value == 0 ? nullptr : "a load that began after the page was dropped gives an old value";
    if (after.drops_begun == from_) return value == last_ ? nullptr : "a load does not give the last store";
    exact = false;
    // A drop ran beside the store or the load: the last store may be gone, and a CPU may have had an older page in its TLB.
    return value == 0 || (value >> 32 == last_ >> 32 && value <= last_) ? nullptr : "a load gives what was never stored";
  }

 private:
  static bool may(Rights rights, Rights needed) {
    return rights == Rights::all || (rights == Rights::read && needed == Rights::read);
  }
  static const char* failed(const Moment& before, const Moment& after, int error, Rights needed) {
    if (error == EBUSY || error == ENOMEM) return nullptr;  // the driver gave up after a second; no memory
    if (before.version != after.version || before.version % 2 != 0) return nullptr;
    if (may(before.rights, needed)) return error == 0 ? nullptr : "an access fails, although the page allows it";
    return error != 0 ? nullptr : "an access succeeds, although the mapping has not allowed it since before it began";
  }

  std::uint64_t last_ = 0;
  std::uint32_t from_ = 0, upto_ = 0;
};

}  // namespace faultline::storms
