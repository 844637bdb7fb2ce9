// Appends lines to the trace file that FAULTLINE_TRACE names. Each line is a single write, because processes share the
// file.
//
// The file is not kept open, so that a recorded program gets the same descriptor numbers as without us.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace faultline::record {

// Builds a JSON object in one line.
class Line {
 public:
  explicit Line(std::string_view event);
  Line& text(std::string_view name, std::string_view value);
  Line& number(std::string_view name, std::int64_t value);
  Line& raw(std::string_view name, std::string_view json);
  void write();  // complains if it fails

 private:
  std::string line_;
};

bool recording();
// Writes to stderr, once per process.
void complain(const std::string& what);
std::string quoted(std::string_view text);
std::string hex(std::string_view bytes);  // quoted
std::int64_t boot_time();                 // ns, as in the kernel's log

}  // namespace faultline::record
