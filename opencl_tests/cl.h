// OpenCL through its C++ bindings, with exceptions, for devices of OpenCL 2.0 and later: earlier ones have no SVM.
#pragma once

#define CL_HPP_ENABLE_EXCEPTIONS
#define CL_HPP_TARGET_OPENCL_VERSION 300
#define CL_HPP_MINIMUM_OPENCL_VERSION 200
#include <CL/opencl.hpp>

#include <string>

namespace faultline::opencl {

struct Device;

// Names the call and the error, and says what would help (error.h).
std::string text_of(const cl::Error& error);

// Finds a device of the list in this process. Throws cl::Error.
cl::Device find(const Device& wanted);

}  // namespace faultline::opencl
