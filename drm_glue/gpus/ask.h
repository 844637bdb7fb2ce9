// What the drivers' parts of list_gpus() share.
#pragma once

#include <string>

#include "drm_glue/gpus/gpu.h"
#include "drm_glue/gpus/kernel_config.h"

namespace faultline {

// amdgpu.cpp, amdgpu_svm.cpp, nouveau.cpp: all that there is to ask of an open render node.
void ask_amdgpu(Gpu& gpu, int render_node, const KernelConfig& config);
GpuSvm ask_amdgpu_svm(Gpu& gpu, unsigned render_minor, const KernelConfig& config);
void ask_nouveau(Gpu& gpu, int render_node, const KernelConfig& config);

// pci.cpp
std::string pci_driver(const std::string& bus);  // its name; empty: none
std::string driver_with_svm(unsigned vendor);    // the one of the vendor's GPUs that has SVM; empty: none is known
// Those of such vendors that are not on the buses of `known`.
std::vector<Gpu> gpus_without_drm(const std::vector<std::string>& known);

// Why a node cannot be opened; EACCES: for whom it is, and the command that lets this user in.
GpuSvm cannot_open(const std::string& node, int error);

// Of a number; the number where it has no name.
std::string group_name(unsigned number);

// Those parameters of the module that can be read.
Settings module_parameters(const std::string& module, const std::vector<std::string>& names);
// Those options, where the kernel's configuration is known.
Settings options(const KernelConfig& config, const std::vector<std::string>& names);

// The first line of a small file of /sys; empty where there is none.
std::string first_line(const std::string& path);

}  // namespace faultline
