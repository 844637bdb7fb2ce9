// A failing OpenCL call becomes an exception that names the call and the error and says what would help.
#pragma once

#include <stdexcept>
#include <string>

#include <CL/cl.h>
#include <CL/cl_ext.h>

namespace faultline::svm {

std::string error_name(cl_int code);
std::string status_name(cl_int status);  // of a command: "queued", "submitted", "running", ...

class Error : public std::runtime_error {
 public:
  // `detail`: further words of the driver, such as a build log.
  Error(const std::string& call, cl_int code, const std::string& detail = "");

  const std::string& call() const { return call_; }
  cl_int code() const { return code_; }

 private:
  std::string call_;
  cl_int code_;
};

// A wait that did not end. Says what it waited for, and the state of the queue.
class Timeout : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws if code is not CL_SUCCESS.
void check(const char* call, cl_int code);

}  // namespace faultline::svm
