// Lines at the end of the trace that FAULTLINE_TRACE names, each in one write: processes share it.
//
// Nothing is kept open, so that a recorded program has the descriptors that it would have.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace faultline::record {

// A JSON object of one line, in the making.
class Line {
 public:
  explicit Line(std::string_view event);
  Line& text(std::string_view name, std::string_view value);
  Line& number(std::string_view name, std::int64_t value);
  Line& raw(std::string_view name, std::string_view json);
  void write();  // complains where it cannot

 private:
  std::string line_;
};

bool recording();
// On the standard error output, once for a process.
void complain(const std::string& what);
std::string quoted(std::string_view text);
std::string hex(std::string_view bytes);  // quoted
std::int64_t boot_time();                 // ns, as in the kernel's log

}  // namespace faultline::record
