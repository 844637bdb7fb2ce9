// The memory that a request points to, read before and after the request.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "drm_glue/record/shapes.h"

namespace faultline::record {

struct Block {
  std::vector<unsigned> path;  // offsets of the pointers that lead to the block, starting in the argument
  std::uint64_t address = 0;
  std::uint64_t wanted = 0;  // number of bytes; `bytes` has fewer if some are unreadable or they are too many
  bool filled = false;       // as Pointer::filled: its old content does not matter
  std::string bytes;
  std::vector<LooseField> loose;  // including the pointers
};

// Reads memory of this process, as far as it is readable: a client's pointer may be anything.
std::string read_memory(std::uint64_t address, std::uint64_t bytes);

// The argument (with an empty path) and all that it points to. Without a shape only the argument.
std::vector<Block> read_blocks(std::uint64_t argument, std::uint64_t bytes, const Shape* shape);

}  // namespace faultline::record
