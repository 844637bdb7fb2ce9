// Programs that are built once per device: the first process under test that builds one keeps its binary for later
// processes. Binaries live as long as the target and no longer, so that an updated driver never gets a binary that the
// old driver has built.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace faultline::opencl {

enum class Source { cell, ordered };
inline constexpr int source_count = 2;

// Shared with all processes that are forked later.
class Binaries {
 public:
  Binaries();  // throws std::system_error
  ~Binaries();
  Binaries(const Binaries&) = delete;
  Binaries& operator=(const Binaries&) = delete;

  std::vector<unsigned char> find(Source source) const;  // empty: none yet
  // Keeps the first binary of a source, unless it is larger than `most_bytes`.
  void keep(Source source, std::span<const unsigned char> binary);
  static constexpr std::size_t most_bytes = std::size_t{4} << 20;

 private:
  struct Slot;
  Slot* slots_;
};

}  // namespace faultline::opencl
