#include "opencl_tests/module/memory.h"

#include <alloca.h>

#include <cstdlib>
#include <new>

namespace faultline::svm {

std::byte* Memory::at(std::size_t offset, std::size_t length) const {
  if (!data_) throw std::out_of_range("the memory is freed");
  if (offset > size_ || length > size_ - offset)
    throw std::out_of_range("bytes " + std::to_string(offset) + " to " + std::to_string(offset + length) +
                            " of an allocation of " + std::to_string(size_));
  return data_ + offset;
}

SvmMemory::SvmMemory(std::shared_ptr<Context> context, cl_svm_mem_flags flags, std::size_t size, cl_uint alignment)
    : context_(std::move(context)) {
  data_ = static_cast<std::byte*>(clSVMAlloc(context_->get(), flags, size, alignment));
  size_ = size;
  if (!data_)
    throw Error("clSVMAlloc", CL_MEM_OBJECT_ALLOCATION_FAILURE,
                "size " + std::to_string(size) + ", alignment " + std::to_string(alignment) + ", flags " + std::to_string(flags));
}

SvmMemory::~SvmMemory() { free(); }

void SvmMemory::forget() { data_ = nullptr; }

void SvmMemory::free() {
  if (data_) clSVMFree(context_->get(), data_);
  data_ = nullptr;
}

SystemMemory::SystemMemory(std::size_t size, std::size_t alignment) {
  void* pointer = nullptr;
  if (posix_memalign(&pointer, alignment, size) != 0) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(pointer);
  size_ = size;
}

SystemMemory::~SystemMemory() { std::free(data_); }

namespace {

constexpr std::size_t page = 4096;
alignas(page) std::byte static_pages[25 * page];

class StackMemory : public Memory {
 public:
  StackMemory(std::byte* data, std::size_t size) {
    data_ = data;
    size_ = size;
  }
  void leave() { data_ = nullptr; }
};

}  // namespace

StaticMemory::StaticMemory() {
  data_ = static_pages;
  size_ = sizeof static_pages;
}

void on_stack(std::size_t size, const std::function<void(std::shared_ptr<Memory>)>& use) {
  const auto memory = std::make_shared<StackMemory>(static_cast<std::byte*>(alloca(size)), size);
  const std::unique_ptr<StackMemory, void (*)(StackMemory*)> end(memory.get(), [](StackMemory* m) { m->leave(); });
  use(memory);
}

Buffer::Buffer(std::shared_ptr<Context> context, cl_mem_flags flags, std::size_t size, void* host, std::shared_ptr<void> keep)
    : keep_(std::move(keep)), context_(std::move(context)), size_(size) {
  cl_int code = CL_SUCCESS;
  handle_ = MemoryHandle(clCreateBuffer(context_->get(), flags, size, host, &code));
  check("clCreateBuffer", code);
}

Buffer::Buffer(std::shared_ptr<Buffer> parent, cl_mem_flags flags, std::size_t origin, std::size_t size)
    : keep_(parent), context_(parent->context_), size_(size) {
  cl_int code = CL_SUCCESS;
  const cl_buffer_region region{origin, size};
  handle_ = MemoryHandle(clCreateSubBuffer(parent->get(), flags, CL_BUFFER_CREATE_TYPE_REGION, &region, &code));
  check("clCreateSubBuffer", code);
}

bool Buffer::uses_svm_pointer() const {
  cl_bool uses = CL_FALSE;
  check("clGetMemObjectInfo", clGetMemObjectInfo(get(), CL_MEM_USES_SVM_POINTER, sizeof uses, &uses, nullptr));
  return uses == CL_TRUE;
}

cl_mem_flags Buffer::flags() const {
  cl_mem_flags flags = 0;
  check("clGetMemObjectInfo", clGetMemObjectInfo(get(), CL_MEM_FLAGS, sizeof flags, &flags, nullptr));
  return flags;
}

}  // namespace faultline::svm
