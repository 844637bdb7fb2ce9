// The comment at the top of a reproducer.
#pragma once

#include <string>

#include "stress/repro/repro.h"

namespace faultline::repro {

std::string comment(const Program& program, Machine machine, const Story& story);

}  // namespace faultline::repro
