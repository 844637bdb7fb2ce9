// The copy of amdgpu_requests.cpp, made with libdrm_amdgpu's own calls. A test compares what arrives at the kernel.
#include <amdgpu.h>
#include <amdgpu_drm.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <string>

namespace {

constexpr std::size_t page = 4096;

void must(int error, const char* call) {
  if (error != 0) throw std::runtime_error(std::string(call) + ": " + std::strerror(-error));
}

struct Mapped {
  amdgpu_bo_handle bo = nullptr;
  amdgpu_va_handle range = nullptr;
  std::uint64_t address = 0;

  void map(amdgpu_device_handle device) {
    must(amdgpu_va_range_alloc(device, amdgpu_gpu_va_range_general, page, page, 0, &address, &range, 0), "amdgpu_va_range_alloc");
    must(amdgpu_bo_va_op(bo, 0, page, address, 0, AMDGPU_VA_OP_MAP), "amdgpu_bo_va_op");
  }
  void release() {
    must(amdgpu_bo_va_op(bo, 0, page, address, 0, AMDGPU_VA_OP_UNMAP), "amdgpu_bo_va_op");
    must(amdgpu_bo_free(bo), "amdgpu_bo_free");
    must(amdgpu_va_range_free(range), "amdgpu_va_range_free");
  }
};

void copy(const std::string& node) {
  const int fd = open(node.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) throw std::runtime_error("open " + node);
  std::uint32_t major, minor;
  amdgpu_device_handle device = nullptr;
  must(amdgpu_device_initialize(fd, &major, &minor, &device), "amdgpu_device_initialize");
  close(fd);
  auto* const words =
      static_cast<std::uint64_t*>(mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  words[0] = 41;

  Mapped commands, from, to;
  amdgpu_bo_alloc_request request{
      .alloc_size = page, .phys_alignment = page, .preferred_heap = AMDGPU_GEM_DOMAIN_GTT, .flags = 0};
  must(amdgpu_bo_alloc(device, &request, &commands.bo), "amdgpu_bo_alloc");
  commands.map(device);
  void* cpu = nullptr;
  must(amdgpu_bo_cpu_map(commands.bo, &cpu), "amdgpu_bo_cpu_map");
  amdgpu_context_handle context = nullptr;
  must(amdgpu_cs_ctx_create(device, &context), "amdgpu_cs_ctx_create");
  must(amdgpu_create_bo_from_user_mem(device, words, page, &from.bo), "amdgpu_create_bo_from_user_mem");
  from.map(device);
  must(amdgpu_create_bo_from_user_mem(device, words + page / 8, page, &to.bo), "amdgpu_create_bo_from_user_mem");
  to.map(device);

  const auto half = [](std::uint64_t address, int shift) { return static_cast<std::uint32_t>(address >> shift); };
  const std::uint32_t packet[16] = {
      1, page - 1, 0, half(from.address, 0), half(from.address, 32), half(to.address, 0), half(to.address, 32)};
  std::memcpy(cpu, packet, sizeof packet);
  amdgpu_bo_handle used[] = {from.bo, to.bo, commands.bo};
  amdgpu_bo_list_handle list = nullptr;
  must(amdgpu_bo_list_create(device, 3, used, nullptr, &list), "amdgpu_bo_list_create");
  amdgpu_cs_ib_info ib{.flags = 0, .ib_mc_address = commands.address, .size = 16};
  amdgpu_cs_request job{};
  job.ip_type = AMDGPU_HW_IP_DMA;
  job.resources = list;
  job.number_of_ibs = 1;
  job.ibs = &ib;
  must(amdgpu_cs_submit(context, 0, &job, 1), "amdgpu_cs_submit");
  amdgpu_cs_fence fence{.context = context, .ip_type = AMDGPU_HW_IP_DMA, .ip_instance = 0, .ring = 0, .fence = job.seq_no};
  std::uint32_t done = 0;
  must(amdgpu_cs_query_fence_status(&fence, 10'000'000'000, 0, &done), "amdgpu_cs_query_fence_status");
  must(amdgpu_bo_list_destroy(list), "amdgpu_bo_list_destroy");
  std::cout << "ok " << words[page / 8] << std::endl;

  to.release();
  from.release();
  must(amdgpu_cs_ctx_free(context), "amdgpu_cs_ctx_free");
  must(amdgpu_bo_cpu_unmap(commands.bo), "amdgpu_bo_cpu_unmap");
  commands.release();
  amdgpu_device_deinitialize(device);
}

}  // namespace

int main() {
  try {
    for (std::string name, node; std::cin >> name >> node;) copy(node);
  } catch (const std::exception& error) {
    std::cerr << "amdgpu-peer: " << error.what() << "\n";
    return 1;
  }
}
