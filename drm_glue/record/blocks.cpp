#include "drm_glue/record/blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace faultline::record {
namespace {

constexpr std::uint64_t most_bytes = 1 << 20;
constexpr std::size_t most_blocks = 4096;

std::uint64_t field(const std::string& bytes, std::uint64_t at, unsigned size) {
  std::uint64_t value = 0;
  if (at + size <= bytes.size()) std::memcpy(&value, bytes.data() + at, size);
  return value;
}

// For kernels without CONFIG_CROSS_MEMORY_ATTACH, and for containers that forbid process_vm_readv().
long read_by_proc(std::uint64_t address, std::string& data) {
  const int file = static_cast<int>(syscall(SYS_openat, AT_FDCWD, "/proc/self/mem", O_RDONLY | O_CLOEXEC));
  if (file < 0) return -1;
  const long got = syscall(SYS_pread64, file, data.data(), data.size(), address);
  syscall(SYS_close, file);
  return got;
}

// Adds what the element at offset `from` of block `index` points to. `blocks` grows, so references into it would dangle.
void follow(std::vector<Block>& blocks, std::size_t index, std::uint64_t from, const Shape& shape) {
  for (const LooseField& each : shape.loose)
    blocks[index].loose.push_back({static_cast<unsigned>(from) + each.at, each.bytes, each.kind});
  for (const Pointer& each : shape.pointers) {
    const unsigned at = static_cast<unsigned>(from) + each.at;
    blocks[index].loose.push_back({at, 8, Loose::pointer});
    const std::uint64_t address = field(blocks[index].bytes, at, 8);
    const std::uint64_t count = each.count_bytes ? field(blocks[index].bytes, from + each.count_at, each.count_bytes) : 1;
    if (address == 0 || count == 0 || blocks.size() >= most_blocks) continue;
    Block block{blocks[index].path, address, count > most_bytes ? count : count * each.unit, each.filled, "", {}};
    block.path.push_back(at);
    block.bytes = read_memory(address, block.wanted);
    const std::size_t read = block.bytes.size();
    blocks.push_back(std::move(block));
    const std::size_t below = blocks.size() - 1;
    if (each.element)
      for (std::uint64_t element = 0; element + each.unit <= read; element += each.unit)
        follow(blocks, below, element, *each.element);
  }
}

}  // namespace

std::string read_memory(std::uint64_t address, std::uint64_t bytes) {
  std::string data(std::min(bytes, most_bytes), '\0');
  iovec local{data.data(), data.size()}, remote{reinterpret_cast<void*>(address), data.size()};
  long got = syscall(SYS_process_vm_readv, getpid(), &local, 1, &remote, 1, 0);
  if (got < 0 && errno != EFAULT) got = read_by_proc(address, data);
  data.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return data;
}

std::vector<Block> read_blocks(std::uint64_t argument, std::uint64_t bytes, const Shape* shape) {
  std::vector<Block> blocks{{{}, argument, bytes, false, read_memory(argument, bytes), {}}};
  if (shape) follow(blocks, 0, 0, *shape);
  return blocks;
}

}  // namespace faultline::record
