// The log of a GPU in software (drm_glue/softgpu): what it did while a scenario ran.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace faultline {

// Its last lines up to a time. A line that repeats one of the few before it, such as a fault that is told again, is counted
// there and not shown. None if the file is unreadable or older lines were dropped meanwhile.
//
// The file's first line has the word `clock` and the steady clock's microseconds at its zero. Each line begins with the
// microseconds since then. Only the last 4 MiB are read, however long the file is. Where it was begun anew since then, the
// former one (".1") is read.
std::vector<std::string> device_log(const std::string& file, std::chrono::steady_clock::time_point until, std::size_t limit = 40);

// When an iteration of a batch had ended, by the time at which the batch came: iterations of a batch take about the same time.
std::chrono::steady_clock::time_point about_end(std::chrono::steady_clock::time_point batch_came,
                                                std::chrono::nanoseconds batch_took, std::size_t iteration,
                                                std::size_t iterations);

}  // namespace faultline
