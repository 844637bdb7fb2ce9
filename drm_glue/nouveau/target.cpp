#include "drm_glue/nouveau/target.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "drm_glue/nouveau/svm.h"
#include "drm_glue/of_process.h"
#include "drm_glue/pagemap.h"
#include "drm_glue/swap.h"
#include "harness/outcome.h"

namespace faultline::nouveau {
namespace {

constexpr std::size_t page_bytes = 4096;

// The client through which the process has its mirror of the mm.
class Client {
 public:
  // Null on failure: sets errno and gives the reason to `words`.
  static Client* make(const std::string& render_node, DriverWords* words) {
    auto client = std::make_unique<Client>();
    if (const char* failed = client->set_up(render_node)) {
      const int error = errno;
      if (words) words->failed(failed + (": " + errno_text(error)));
      errno = error;
      return nullptr;
    }
    return client.release();
  }
  Client() = default;
  ~Client() {
    if (node_ >= 0) close(node_);
    if (unmanaged_ != MAP_FAILED) munmap(unmanaged_, unmanaged_bytes);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  int node() const { return node_; }

 private:
  // Addresses for the driver's own use. This client has no buffers, so the smallest possible range is enough.
  static constexpr std::size_t unmanaged_bytes = 2 << 20;

  const char* set_up(const std::string& render_node) {
    do node_ = open(render_node.c_str(), O_RDWR | O_CLOEXEC);
    while (node_ < 0 && errno == EINTR);
    if (node_ < 0) return "the render node cannot be opened";
    unmanaged_ = mmap(nullptr, unmanaged_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (unmanaged_ == MAP_FAILED) return "no addresses for the driver's own";
    errno = init_svm(node_, reinterpret_cast<std::uintptr_t>(unmanaged_), unmanaged_bytes);
    return errno == 0 ? nullptr : "DRM_NOUVEAU_SVM_INIT";
  }

  int node_ = -1;
  void* unmanaged_ = MAP_FAILED;
};

class Handle : public DeviceHandle {
 public:
  Handle(Client& client, DriverWords* words) : client_(client), words_(words) {}

  DeviceAccess load(std::uintptr_t) override { return {ENOTSUP}; }
  DeviceAccess store(std::uintptr_t, std::uint64_t) override { return {ENOTSUP}; }

  int migrate(std::uintptr_t address, int pages, bool to_device) override {
    const std::size_t bytes = static_cast<std::size_t>(pages) * page_bytes;
    const int error = to_device ? migrate_to_vram(client_.node(), address, bytes) : bring_back(address, bytes);
    if (error != 0 && words_) words_->failed("DRM_NOUVEAU_SVM_BIND: " + errno_text(error));
    return error;
  }

  int location(std::uintptr_t address, Location& location) override {
    return page_location(real_kernel(), address, "nouveau_dmem", location);  // nouveau_dmem_chunk_alloc()
  }

 private:
  // The driver has no request for this. A page comes back when the CPU touches it (nouveau_dmem_migrate_to_ram).
  // process_vm_readv() touches it, because that fails without a signal where no mapping allows a read. Best effort, as
  // for migrations to VRAM.
  static int bring_back(std::uintptr_t address, std::size_t bytes) {
    for (std::uintptr_t at = address; at < address + bytes; at += page_bytes) {
      char byte;
      const iovec to{&byte, 1}, from{reinterpret_cast<void*>(at), 1};
      (void)!process_vm_readv(getpid(), &to, 1, &from, 1, 0);
    }
    return 0;
  }

  Client& client_;
  DriverWords* const words_;
};

class NouveauTarget : public Target {
 public:
  NouveauTarget(Gpu gpu, std::string why_not) : gpu_(std::move(gpu)), why_not_(std::move(why_not)) {}

  std::string name() const override { return gpu_.bus.empty() ? "nouveau" : "nouveau:" + gpu_.bus; }
  std::string about() const override { return gpu_.chip + ", " + gpu_.render_node; }
  std::string unavailable() const override { return why_not_; }
  std::vector<std::string> gpus() const override { return {gpu_.bus}; }

  Capabilities capabilities() const override {
    Capabilities can;
    can.device_class = DeviceClass::recoverable;
    can.sight.faults = false;
    can.sight.identity = can.sight.location = frames_unavailable(real_kernel()).empty();
    can.sight.migration_errors = false;
    can.migrate = true;
    can.system = false;  // loads and stores need OpenCL
    can.inherited = can.forked = false;
    can.swap = has_swap(real_kernel());
    return can;
  }

  void speak_to(DriverWords* words) override { words_ = words; }

  std::unique_ptr<DeviceHandle> open(int) override {
    Client* const client = client_.get([&] { return Client::make(gpu_.render_node, words_); });
    return client ? std::make_unique<Handle>(*client, words_) : nullptr;
  }

 private:
  const Gpu gpu_;
  const std::string why_not_;
  DriverWords* words_ = nullptr;
  OfProcess<Client> client_;
};

std::string why_not(const Gpu& gpu) {
  if (gpu.svm.recoverable) return {};
  return gpu.svm.why_not + (gpu.svm.help.empty() ? "" : "; would help: " + gpu.svm.help);
}

}  // namespace

std::vector<std::unique_ptr<Target>> nouveau_targets(const std::vector<Gpu>& gpus) {
  std::vector<std::unique_ptr<Target>> targets;
  for (const Gpu& gpu : gpus)
    if (gpu.driver == "nouveau") targets.push_back(std::make_unique<NouveauTarget>(gpu, why_not(gpu)));
  if (targets.empty())
    targets.push_back(std::make_unique<NouveauTarget>(Gpu{}, "no GPU of nouveau here; 'faultline targets' lists the GPUs"));
  return targets;
}

}  // namespace faultline::nouveau
