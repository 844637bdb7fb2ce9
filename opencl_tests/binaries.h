// Programs that are built once for a device: the first process under test that builds one leaves its binary to those
// that come after it. Kept as long as the target and no longer, so that a driver that was changed in between is
// never given what the older one has built.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace faultline::opencl {

enum class Source { cell, ordered };
inline constexpr int source_count = 2;

// Shared by every process that is forked from the one that makes it.
class Binaries {
 public:
  Binaries();  // throws std::system_error
  ~Binaries();
  Binaries(const Binaries&) = delete;
  Binaries& operator=(const Binaries&) = delete;

  std::vector<unsigned char> find(Source source) const;  // empty: none yet
  // The first one is kept, if it is at most `most_bytes`.
  void keep(Source source, std::span<const unsigned char> binary);
  static constexpr std::size_t most_bytes = std::size_t{4} << 20;

 private:
  struct Slot;
  Slot* slots_;
};

}  // namespace faultline::opencl
