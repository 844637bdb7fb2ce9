// What the machine has in use, for the search for leaks.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace faultline::storms {

// Higher is more in use. What this machine does not tell is left out.
//   memory KiB            neither free nor a cache that the kernel would give back
//   slab KiB              that the kernel cannot give back
//   mm_struct, ...        objects, from /proc/slabinfo (root only)
//   descriptors, tasks    of the whole machine
//   device memory MiB     that test_hmm has added to the machine: it adds more when none of its pages is free
std::map<std::string, std::int64_t> read_levels();

// The parsers. They ignore what they do not know.
void read_meminfo(std::string_view text, std::map<std::string, std::int64_t>& levels);
void read_slabinfo(std::string_view text, std::map<std::string, std::int64_t>& levels);
void read_iomem(std::string_view text, std::map<std::string, std::int64_t>& levels);

}  // namespace faultline::storms
