// Those requests of requests.cpp that libhsakmt can make too, made by libhsakmt. A test compares what arrives at the kernel.
#include <hsakmt.h>

#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <vector>

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

void run(const std::string& line) {
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
  } else {
    throw std::invalid_argument("unknown request '" + name + "'");
  }
}

}  // namespace

int main() {
  std::string line;
  try {
    while (std::getline(std::cin, line)) {
      run(line);
      std::cout << "ok" << std::endl;
    }
  } catch (const std::exception& error) {
    std::cerr << "kfd-peer: " << error.what() << "\n";
    return 1;
  }
}
