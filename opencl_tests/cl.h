// OpenCL through its C++ bindings, with exceptions, for devices of OpenCL 2.0 and later: there is no SVM before.
#pragma once

#define CL_HPP_ENABLE_EXCEPTIONS
#define CL_HPP_TARGET_OPENCL_VERSION 300
#define CL_HPP_MINIMUM_OPENCL_VERSION 200
#include <CL/opencl.hpp>

#include <string>

namespace faultline::opencl {

// "clCreateContext: CL_OUT_OF_RESOURCES", with the number where the name is not known.
std::string text_of(const cl::Error& error);
std::string error_name(cl_int error);

}  // namespace faultline::opencl
