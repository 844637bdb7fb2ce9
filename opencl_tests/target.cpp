#include "opencl_tests/target.h"

#include <errno.h>
#include <stdio.h>

#include "drm_glue/pagemap.h"
#include "drm_glue/swap.h"
#include "opencl_tests/runtime.h"

namespace faultline::opencl {
namespace {

class OpenClHandle : public DeviceHandle, public Svm {
 public:
  OpenClHandle(Runtime& runtime, DriverWords* words) : runtime_(runtime), words_(words) {}

  DeviceAccess load(std::uintptr_t address) override {
    DeviceAccess access;
    access.error = tried([&] { access.value = runtime_.load(address); });
    return access;
  }

  DeviceAccess store(std::uintptr_t address, std::uint64_t value) override {
    return {tried([&] { runtime_.store(address, value); })};
  }

  int ordered(std::span<OrderedAccess> accesses) override {
    return tried([&] { runtime_.ordered(accesses); });
  }

  Svm* svm() override { return this; }
  void* allocate(std::size_t bytes, Backing backing) override {
    void* buffer = nullptr;
    errno = tried([&] { buffer = runtime_.allocate(bytes, backing); });
    if (!buffer && errno == 0) {
      if (words_) words_->failed("clSVMAlloc gave nothing for " + std::to_string(bytes) + " bytes");
      errno = ENOMEM;
    }
    return buffer;
  }
  void free(void* buffer) override { runtime_.free(buffer); }
  int map(std::uintptr_t address, std::size_t bytes, Protection access) override {
    return tried([&] { runtime_.map(address, bytes, access); });
  }
  int unmap(std::uintptr_t address) override {
    return tried([&] { runtime_.unmap(address); });
  }
  int copy(std::uintptr_t to, std::uintptr_t from, std::size_t bytes) override {
    return tried([&] { runtime_.copy(to, from, bytes); });
  }
  int fill(std::uintptr_t address, std::uint64_t word) override {
    return tried([&] { runtime_.fill(address, word); });
  }
  int migrate(std::uintptr_t address, std::size_t bytes, bool to_device) override {
    return tried([&] { runtime_.migrate(address, bytes, to_device); });
  }

 private:
  // A failure of the driver becomes EIO, or ENODEV if the device is gone. A healthy driver has no failures.
  template <typename Request>
  int tried(const Request& request) {
    try {
      request();
      return 0;
    } catch (const cl::Error& error) {
      if (words_) words_->failed(text_of(error));
      return error.err() == CL_DEVICE_NOT_AVAILABLE ? ENODEV : EIO;
    }
  }

  Runtime& runtime_;
  DriverWords* const words_;
};

// The target on a machine without a device: says what is wrong with the drivers.
class NoOpenCl : public Target {
 public:
  explicit NoOpenCl(const DeviceList& list) : crashed_(list.crashed) {
    for (const std::string& trouble : list.troubles) why_ += (why_.empty() ? "" : "; ") + trouble;
  }
  std::string name() const override { return "opencl"; }
  std::string unavailable() const override { return why_; }
  bool crashed() const override { return crashed_; }
  Capabilities capabilities() const override { return {}; }
  std::unique_ptr<DeviceHandle> open(int) override { return nullptr; }

 private:
  const bool crashed_;
  std::string why_;
};

}  // namespace

std::string OpenClTarget::unavailable() const {
  if (device_.svm.coarse || device_.has_usm() || device_.addresses != Addresses::none) return {};
  return device_.name + " has no shared virtual memory (CL_DEVICE_SVM_CAPABILITIES is 0)";
}

Capabilities OpenClTarget::capabilities() const {
  Capabilities can;
  // A fault that the kernel cannot resolve becomes a signal in a thread of the driver.
  can.device_class = DeviceClass::fatal_faults;
  can.sight.faults = false;
  can.sight.identity = frames_unavailable(real_kernel()).empty();
  can.inherited = can.forked = false;
  // Only for CPU devices: OpenCL does not say what a GPU does at a fault that cannot be resolved. Its driver decides.
  can.system = device_.svm.system && device_.cpu;
  can.svm_coarse = device_.svm.coarse;
  can.svm_fine = device_.svm.fine;
  can.atomics = device_.svm.atomics && device_.svm.fine;
  can.usm_host = device_.usm_host;
  can.usm_shared = device_.usm_shared;
  can.usm_device = device_.usm_device;
  can.device_address = device_.addresses != Addresses::none;
  can.swap = has_swap(real_kernel());
  return can;
}

std::unique_ptr<DeviceHandle> OpenClTarget::open(int) {
  Runtime* const runtime = runtime_.get([&] { return Runtime::make(device_, words_, binaries_); });
  return runtime ? std::make_unique<OpenClHandle>(*runtime, words_) : nullptr;
}

std::vector<std::unique_ptr<Target>> opencl_targets(const DeviceList& list) {
  std::vector<std::unique_ptr<Target>> targets;
  for (const Device& device : list.devices) targets.push_back(std::make_unique<OpenClTarget>(device));
  if (targets.empty()) targets.push_back(std::make_unique<NoOpenCl>(list));
  for (const std::string& trouble : list.troubles) fprintf(stderr, "opencl: %s\n", trouble.c_str());
  return targets;
}

}  // namespace faultline::opencl
