// The lines that GPU drivers write to the kernel log when something goes wrong.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace faultline {

struct GpuLine {
  enum class Kind {
    words,   // an access or a channel was refused. The access's outcome shows that too; this line says why
    hung,    // work did not end
    reset,   // what was on the GPU is lost
    broken,  // a reset did not help
    gone,    // the GPU is gone from its bus
  };
  Kind kind = Kind::words;
  const char* what = "";  // predicate with the GPU as subject: "was reset"
  std::string driver;     // "amdgpu"; empty: the driver of the device `bus`
  std::string bus;        // "0000:03:00.0"; empty: the line names none
};

// Nothing for any other line. The texts are those of Linux 6.1; newer ones are marked in the table.
std::optional<GpuLine> gpu_line(std::string_view line);

}  // namespace faultline
