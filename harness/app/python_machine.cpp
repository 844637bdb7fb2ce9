#include "harness/app/python_machine.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <dlfcn.h>

#include "harness/app/app.h"

namespace py = pybind11;

namespace faultline::app {

Stop Interrupts::asked() {
  const auto now = std::chrono::steady_clock::now();
  if (now >= next_) {
    next_ = now + std::chrono::milliseconds(100);
    const py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) {
      count_++;
      try {
        throw py::error_already_set();
      } catch (...) {
        error_ = std::current_exception();
      }
    }
  }
  return count_ == 0 ? Stop::none : count_ == 1 ? Stop::soon : Stop::now;
}

void Interrupts::raise() {
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

namespace {

std::string module_path() {
  Dl_info info{};
  return ::dladdr(reinterpret_cast<const void*>(&module_path), &info) && info.dli_fname
             ? std::filesystem::absolute(info.dli_fname).string()
             : "";
}

}  // namespace

PythonMachine::PythonMachine(const std::string& place, const std::string& kernel, const std::string& append) : place_(place) {
  if (!place.empty() && place != "opencl" && std::find(places().begin(), places().end(), place) == places().end())
    throw py::value_error("a machine is '' (this one), 'opencl' (this one, with its OpenCL drivers), 'lab' or 'debian13'");
  folder_.emplace();
  make_ = machines(project_root(module_path()), {kernel, append}, folder_->path() + "/");
  (void)session();
}

Session& PythonMachine::session() {
  if (session_ && !session_->usable()) session_.reset();
  if (!session_) {
    if (closed_) throw std::runtime_error("this machine is closed");
    Machine::Spec spec = make_(place_, ++started_);
    spec.dies_with_us = false;  // or it would die with the thread that started it; it ends with the stream anyway
    Interrupts interrupts;
    try {
      const py::gil_scoped_release release;
      session_ = std::make_unique<Session>(
          spec, Session::Patience{}, [&] { return interrupts.asked(); }, std::function<void(const std::string&)>{});
    } catch (const StartFailure& failure) {
      interrupts.raise();
      std::string message = std::string("the machine does not start: ") + failure.what();
      for (const std::string& word : failure.words) message += "\n  " + word;
      throw std::runtime_error(message);
    }
  }
  return *session_;
}

void PythonMachine::close() {
  closed_ = true;
  {
    const py::gil_scoped_release release;
    session_.reset();
  }
  folder_.reset();
}

bool PythonMachine::crash() { return session().machine().send(agent::to_line(agent::CrashRequest{})); }

}  // namespace faultline::app
