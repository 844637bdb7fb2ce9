#include "opencl_tests/layer/layer.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace faultline::layer {

cl_icd_dispatch next;

namespace {

cl_icd_dispatch ours;

const Fault* chosen() {
  const char* name = std::getenv("FAULTLINE_OPENCL_FAULT");
  if (!name || !*name) return nullptr;
  std::string all;
  for (const auto* faults :
       {&memory_faults, &order_faults, &kernel_faults, &answer_faults, &device_faults, &extension_faults, &crash_faults}) {
    for (const Fault& fault : *faults) {
      if (std::strcmp(fault.name, name) == 0) return &fault;
      all += std::string(" ") + fault.name;
    }
  }
  // Without the fault, the run would look as if no test caught it. So stop here.
  std::fprintf(stderr, "FAULTLINE_OPENCL_FAULT: unknown fault '%s'; there are%s\n", name, all.c_str());
  std::abort();
}

cl_int answer(std::size_t room, void* value, std::size_t* needed, const void* text, std::size_t size) {
  if (needed) *needed = size;
  if (value && room < size) return CL_INVALID_VALUE;
  if (value) std::memcpy(value, text, size);
  return CL_SUCCESS;
}

}  // namespace

cl_context context_of(cl_command_queue queue) {
  cl_context context = nullptr;
  next.clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, nullptr);
  return context;
}

cl_program with_source(cl_context context, cl_uint count, const char** texts, const std::size_t* lengths, cl_int* code,
                       const char* prefix) {
  std::string all = prefix;
  for (cl_uint i = 0; i < count; ++i) all += lengths && lengths[i] ? std::string(texts[i], lengths[i]) : std::string(texts[i]);
  const char* text = all.c_str();
  return next.clCreateProgramWithSource(context, 1, &text, nullptr, code);
}

}  // namespace faultline::layer

#define EXPORT extern "C" __attribute__((visibility("default"))) cl_int CL_API_CALL

EXPORT clGetLayerInfo(cl_layer_info what, std::size_t room, void* value, std::size_t* needed) {
  using faultline::layer::answer;
  constexpr cl_layer_api_version version = CL_LAYER_API_VERSION_100;
  constexpr char name[] = "faultline";
  if (what == CL_LAYER_API_VERSION) return answer(room, value, needed, &version, sizeof version);
  if (what == CL_LAYER_NAME) return answer(room, value, needed, name, sizeof name);
  return CL_INVALID_VALUE;
}

EXPORT clInitLayer(cl_uint count, const cl_icd_dispatch* target, cl_uint* layer_count, const cl_icd_dispatch** layer) {
  using namespace faultline::layer;
  constexpr std::size_t known = sizeof(cl_icd_dispatch) / sizeof(void*);
  std::memcpy(&next, target, std::min<std::size_t>(count, known) * sizeof(void*));
  ours = next;
  if (const Fault* fault = chosen()) fault->install(ours);
  *layer_count = known;
  *layer = &ours;
  return CL_SUCCESS;
}
