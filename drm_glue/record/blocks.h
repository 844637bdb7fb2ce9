// Memory that a request points to, as it is before and after it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "drm_glue/record/shapes.h"

namespace faultline::record {

struct Block {
  std::vector<unsigned> path;  // offsets of the pointers on the way to it, from the argument on
  std::uint64_t address = 0;
  std::uint64_t wanted = 0;  // bytes; there are less in `bytes` where they cannot be read, or are too many
  bool filled = false;       // as of Pointer: what was there before is nobody's business
  std::string bytes;
  std::vector<LooseField> loose;  // with the pointers
};

// What can be read of this process at the address: a client's pointer may be anything.
std::string read_memory(std::uint64_t address, std::uint64_t bytes);

// The argument, which has an empty path, and all that it points to. Without a shape only the argument.
std::vector<Block> read_blocks(std::uint64_t argument, std::uint64_t bytes, const Shape* shape);

}  // namespace faultline::record
