// Conversions between Python values and the module's arguments and results.
#pragma once

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "opencl_tests/module/memory.h"

namespace faultline::svm {

namespace py = pybind11;

// From an integer, or from memory: the address of its first byte.
inline std::uintptr_t address_of(const py::handle& value) {
  if (py::isinstance<Memory>(value)) return value.cast<const Memory&>().address();
  return value.cast<std::uintptr_t>();
}

inline std::vector<std::uintptr_t> addresses_of(const py::iterable& values) {
  std::vector<std::uintptr_t> addresses;
  for (const py::handle& value : values) addresses.push_back(address_of(value));
  return addresses;
}

using Names = std::vector<std::pair<cl_ulong, const char*>>;

inline std::vector<std::string> named_bits(cl_ulong bits, const Names& names) {
  std::vector<std::string> found;
  for (const auto& [bit, name] : names)
    if (bits & bit) found.emplace_back(name);
  return found;
}

inline const Names svm_names = {{CL_DEVICE_SVM_COARSE_GRAIN_BUFFER, "coarse-grain-buffer"},
                                {CL_DEVICE_SVM_FINE_GRAIN_BUFFER, "fine-grain-buffer"},
                                {CL_DEVICE_SVM_FINE_GRAIN_SYSTEM, "fine-grain-system"},
                                {CL_DEVICE_SVM_ATOMICS, "atomics"}};

inline const Names atomic_names = {
    {CL_DEVICE_ATOMIC_ORDER_RELAXED, "order-relaxed"},        {CL_DEVICE_ATOMIC_ORDER_ACQ_REL, "order-acq-rel"},
    {CL_DEVICE_ATOMIC_ORDER_SEQ_CST, "order-seq-cst"},        {CL_DEVICE_ATOMIC_SCOPE_WORK_ITEM, "scope-work-item"},
    {CL_DEVICE_ATOMIC_SCOPE_WORK_GROUP, "scope-work-group"},  {CL_DEVICE_ATOMIC_SCOPE_DEVICE, "scope-device"},
    {CL_DEVICE_ATOMIC_SCOPE_ALL_DEVICES, "scope-all-devices"}};

}  // namespace faultline::svm
