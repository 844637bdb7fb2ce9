// What the drivers' parts of list_gpus() share.
#pragma once

#include <string>

#include "drm_glue/gpus/gpu.h"
#include "drm_glue/gpus/kernel_config.h"

namespace faultline {

// amdgpu.cpp, amdgpu_svm.cpp, nouveau.cpp: fill in what an open render node tells.
void ask_amdgpu(Gpu& gpu, int render_node, const KernelConfig& config);
GpuSvm ask_amdgpu_svm(Gpu& gpu, unsigned render_minor, const KernelConfig& config);
void ask_nouveau(Gpu& gpu, int render_node, const KernelConfig& config);

// pci.cpp
std::string pci_driver(const std::string& bus);  // its name; empty: none
std::string driver_with_svm(unsigned vendor);    // the vendor's driver that has SVM; empty: none known
// GPUs of those vendors whose bus ids are not in `known`.
std::vector<Gpu> gpus_without_drm(const std::vector<std::string>& known);

// Says why a node cannot be opened. For EACCES: who may open it, and the command that lets this user in.
GpuSvm cannot_open(const std::string& node, int error);

// The number itself if the group has no name.
std::string group_name(unsigned number);

// The readable ones of these module parameters.
Settings module_parameters(const std::string& module, const std::vector<std::string>& names);
// Empty when the kernel's configuration is unknown.
Settings options(const KernelConfig& config, const std::vector<std::string>& names);

// The first line of a small file in /sys; empty if it cannot be read.
std::string first_line(const std::string& path);

}  // namespace faultline
