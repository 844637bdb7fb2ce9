// Random Programs for the tests of the parser and the printer. They are valid, have the form that parse() makes, and
// use every construct of the language. They need not make sense to a kernel.
#pragma once

#include <random>

#include "harness/program.h"

namespace faultline::test {

Program random_program(std::mt19937& random);

}  // namespace faultline::test
