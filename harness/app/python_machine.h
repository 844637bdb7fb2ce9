// Ctrl-C handling and the persistent agent of the Python module.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <pybind11/pybind11.h>

#include "harness/app/scratch_folder.h"
#include "harness/run/session.h"

namespace faultline::app {

// Asks Python now and then whether Ctrl-C was pressed. Keeps the exception until it can be raised.
class Interrupts {
 public:
  Stop asked();
  // Call it with the GIL held.
  void raise();

 private:
  std::chrono::steady_clock::time_point next_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
  std::exception_ptr error_;
  int count_ = 0;
};

// A persistent agent, which can run thousands of programs. If it dies, the next run starts a new one.
class PythonMachine {
 public:
  // place: "" for this machine, "opencl" for this machine with OpenCL drivers, or one of places().
  PythonMachine(const std::string& place, const std::string& kernel, const std::string& append);
  ~PythonMachine() { close(); }

  // Call it with the GIL held.
  Session& session();
  void close();
  bool crash();
  int started() const { return started_; }
  std::mutex& mutex() { return mutex_; }

 private:
  std::string place_;
  std::optional<ScratchFolder> folder_;
  std::function<Machine::Spec(const std::string&, int)> make_;
  std::unique_ptr<Session> session_;
  std::mutex mutex_;
  int started_ = 0;
  bool closed_ = false;
};

}  // namespace faultline::app
