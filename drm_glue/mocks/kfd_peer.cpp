// Those requests of requests.cpp and amdgpu_requests.cpp that libhsakmt can make too, made by libhsakmt. Tests compare what
// arrives at a mocked kernel, and what a real one answers.
#include <amdgpu_drm.h>
#include <hsakmt.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "drm_glue/amdgpu/copier.h"

namespace {

void must(HSAKMT_STATUS status, const char* call) {
  if (status != HSAKMT_STATUS_SUCCESS) throw std::runtime_error(std::string(call) + ": status " + std::to_string(status));
}

HSAuint64 number(std::istringstream& words) {
  std::string word;
  if (!(words >> word)) throw std::invalid_argument("a number is missing");
  return std::stoull(word, nullptr, 0);
}

// libhsakmt names a GPU by its topology node, the kernel by its gpu id.
std::map<HSAuint32, HSAuint32> nodes_by_gpu() {
  HsaSystemProperties system{};
  must(hsaKmtAcquireSystemProperties(&system), "hsaKmtAcquireSystemProperties");
  std::map<HSAuint32, HSAuint32> nodes;
  for (HSAuint32 node = 0; node < system.NumNodes; ++node) {
    HSAuint32 gpu = 0;
    std::ifstream("/sys/devices/virtual/kfd/kfd/topology/nodes/" + std::to_string(node) + "/gpu_id") >> gpu;
    if (gpu != 0) nodes[gpu] = node;
  }
  return nodes;
}

bool names_a_gpu(HSA_SVM_ATTR_TYPE type, HSAuint32 value) {
  return type <= HSA_SVM_ATTR_NO_ACCESS && value != 0 && value != INVALID_NODEID;
}

std::vector<HSA_SVM_ATTRIBUTE> attributes(std::istringstream& words, const std::map<HSAuint32, HSAuint32>& nodes) {
  std::vector<HSA_SVM_ATTRIBUTE> result;
  while (words >> std::ws && !words.eof()) {
    const auto type = static_cast<HSA_SVM_ATTR_TYPE>(number(words));
    const auto value = static_cast<HSAuint32>(number(words));
    result.push_back({type, names_a_gpu(type, value) ? nodes.at(value) : value});
  }
  return result;
}

constexpr std::size_t page = 4096;

// Memory that CPU and GPU have at one address, in system memory.
void* shared_memory(HSAuint32 node) {
  HsaMemFlags flags{};
  flags.ui32.HostAccess = flags.ui32.ExecuteAccess = flags.ui32.NoNUMABind = 1;
  flags.ui32.PageSize = HSA_PAGE_SIZE_4KB;
  void* memory = nullptr;
  HSAuint64 gpu_address = 0;
  must(hsaKmtAllocMemory(0, page, flags, &memory), "hsaKmtAllocMemory");
  HsaMemMapFlags map{};
  must(hsaKmtMapMemoryToGPUNodes(memory, page, &gpu_address, map, 1, &node), "hsaKmtMapMemoryToGPUNodes");
  return memory;
}

// As `queue` of amdgpu_requests.cpp.
std::string queue(HSAuint32 gpu, HSAuint32 node, bool xnack) {
  must(hsaKmtSetXNACKMode(xnack), "hsaKmtSetXNACKMode");
  auto* const words =
      static_cast<HSAuint64*>(mmap(reinterpret_cast<void*>(std::uintptr_t{1} << 45), 2 * page, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
  if (words == MAP_FAILED) throw std::runtime_error("mmap");
  std::atomic_ref from(words[0]), to(words[page / sizeof *words]);
  auto* const ring = static_cast<HSAuint32*>(shared_memory(node));
  auto* const done = static_cast<HSAuint32*>(shared_memory(node));
  HsaQueueResource made{};
  must(hsaKmtCreateQueue(node, HSA_QUEUE_SDMA, 100, HSA_QUEUE_PRIORITY_NORMAL, ring, page, nullptr, &made), "hsaKmtCreateQueue");
  HSA_SVM_ATTRIBUTE access[] = {{HSA_SVM_ATTR_ACCESS, node}};
  must(hsaKmtSVMSetAttr(words, 2 * page, 1, access), "hsaKmtSVMSetAttr");
  HSAuint64 written = 0;
  from = 1099;
  for (HSAuint32 i = 0; i < 100; ++i) {
    HSAuint32 request[16] = {};
    const auto end = std::ranges::copy(faultline::amdgpu::copy_linear(AMDGPU_FAMILY_AI,
                                                                      reinterpret_cast<HSAuint64>(&words[page / sizeof *words]),
                                                                      reinterpret_cast<HSAuint64>(words), 8),
                                       request)
                         .out;
    std::ranges::copy(faultline::amdgpu::fence(reinterpret_cast<HSAuint64>(done), i + 1), end);
    std::ranges::copy(request, ring + written % page / sizeof *ring);
    written += sizeof request;
    std::atomic_ref(*made.Queue_write_ptr_aql) = written;
    std::atomic_ref(*made.Queue_DoorBell_aql) = written;
    while (std::atomic_ref(*done) != i + 1) usleep(1000);
  }
  HSA_SVM_ATTRIBUTE wanted[] = {{HSA_SVM_ATTR_PREFETCH_LOC, 0}, {HSA_SVM_ATTR_ACCESS, node}};
  must(hsaKmtSVMGetAttr(words, page, 2, wanted), "hsaKmtSVMGetAttr");
  const HSAuint32 place = wanted[0].value == node ? gpu : wanted[0].value;
  must(hsaKmtDestroyQueue(made.QueueId), "hsaKmtDestroyQueue");
  return " " + std::to_string(to.load()) + " " + std::to_string(place) + " " + std::to_string(wanted[1].type);
}

std::string run(const std::string& line) {
  static std::map<HSAuint32, HSAuint32> nodes;
  std::istringstream words(line);
  std::string name, word;
  words >> name;
  if (name == "open") {
    must(hsaKmtOpenKFD(), "hsaKmtOpenKFD");
    nodes = nodes_by_gpu();
  } else if (name == "xnack") {
    HSAint32 mode = -1;
    if (words >> word) must(hsaKmtSetXNACKMode(word == "on"), "hsaKmtSetXNACKMode");
    else must(hsaKmtGetXNACKMode(&mode), "hsaKmtGetXNACKMode");
  } else if (name == "svm-set" || name == "svm-get") {
    const HSAuint64 address = number(words), bytes = number(words);
    std::vector<HSA_SVM_ATTRIBUTE> list = attributes(words, nodes);
    const auto call = name == "svm-set" ? hsaKmtSVMSetAttr : hsaKmtSVMGetAttr;
    must(call(reinterpret_cast<void*>(address), bytes, static_cast<unsigned>(list.size()), list.data()), name.c_str());
  } else if (name == "queue") {
    words >> word >> word;  // the render node, which libhsakmt finds itself; then the mode
    const auto gpu = static_cast<HSAuint32>(number(words));
    must(hsaKmtOpenKFD(), "hsaKmtOpenKFD");
    return queue(gpu, nodes_by_gpu().at(gpu), word == "on");
  } else {
    throw std::invalid_argument("unknown request '" + name + "'");
  }
  return {};
}

}  // namespace

int main() {
  std::string line;
  try {
    while (std::getline(std::cin, line)) {
      std::cout << "ok" + run(line) << std::endl;
    }
  } catch (const std::exception& error) {
    std::cerr << "kfd-peer: " << error.what() << "\n";
    return 1;
  }
}
