// What a GPU's driver writes to the kernel log when something goes wrong.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace faultline {

struct GpuLine {
  enum class Kind {
    words,   // an access or a channel was refused: the outcome of the access shows it, and this tells why
    hung,    // work did not end
    reset,   // what was on the GPU is lost
    broken,  // a reset did not help
    gone,    // from its bus
  };
  Kind kind = Kind::words;
  const char* what = "";  // "was reset": of the GPU
  std::string driver;     // "amdgpu"; empty: whichever the bus id belongs to
  std::string bus;        // "0000:03:00.0"; empty: the line names none
};

// Nothing for a line that is no such word. The words are those of Linux 6.1; newer ones are marked in the table.
std::optional<GpuLine> gpu_line(std::string_view line);

}  // namespace faultline
