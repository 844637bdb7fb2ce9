// The Python module faultline_opencl: OpenCL's shared virtual memory, call by call. Each failure is an exception, and each
// wait has a deadline. The GIL is released while the driver works.
#include "opencl_tests/module/python_values.h"
#include "opencl_tests/module/queue.h"

namespace faultline::svm {
namespace {

using namespace pybind11::literals;
using Released = py::call_guard<py::gil_scoped_release>;

void bind_errors(py::module_& module) {
  static PyObject* error_type = PyErr_NewException("faultline_opencl.Error", PyExc_RuntimeError, nullptr);
  static PyObject* timeout_type = PyErr_NewException("faultline_opencl.Timeout", PyExc_TimeoutError, nullptr);
  module.attr("Error") = py::handle(error_type);
  module.attr("Timeout") = py::handle(timeout_type);
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const Error& error) {
      py::object value = py::reinterpret_borrow<py::object>(error_type)(error.what());
      value.attr("call") = error.call();
      value.attr("code") = error.code();
      value.attr("name") = error_name(error.code());
      PyErr_SetObject(error_type, value.ptr());
    } catch (const Timeout& timeout) {
      PyErr_SetString(timeout_type, timeout.what());
    }
  });
}

// clang-format off
void bind_devices(py::module_& module) {
  py::class_<Device>(module, "Device")
      .def_property_readonly("name", [](const Device& d) { return d.text(CL_DEVICE_NAME); })
      .def_property_readonly("vendor", [](const Device& d) { return d.text(CL_DEVICE_VENDOR); })
      .def_property_readonly("version", [](const Device& d) { return d.text(CL_DEVICE_VERSION); })
      .def_property_readonly("driver", [](const Device& d) { return d.text(CL_DRIVER_VERSION); })
      .def_property_readonly("extensions", [](const Device& d) { return d.text(CL_DEVICE_EXTENSIONS); })
      .def_property_readonly("available", [](const Device& d) { return d.number(CL_DEVICE_AVAILABLE) != 0; })
      .def_property_readonly("svm_bits", [](const Device& d) { return d.bits(CL_DEVICE_SVM_CAPABILITIES); })
      .def_property_readonly("svm", [](const Device& d) {
        return named_bits(d.bits(CL_DEVICE_SVM_CAPABILITIES), svm_names);
      }, "The levels of shared virtual memory")
      .def_property_readonly("atomics", [](const Device& d) {
        return named_bits(d.bits(CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES), atomic_names);
      })
      .def_property_readonly("fences", [](const Device& d) {
        return named_bits(d.bits(CL_DEVICE_ATOMIC_FENCE_CAPABILITIES), atomic_names);
      })
      .def_property_readonly("features", &Device::features)
      .def_property_readonly("out_of_order", [](const Device& d) {
        return (d.number(CL_DEVICE_QUEUE_ON_HOST_PROPERTIES) & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0;
      })
      .def_property_readonly("max_allocation", [](const Device& d) { return d.number(CL_DEVICE_MAX_MEM_ALLOC_SIZE); })
      .def_property_readonly("base_alignment", [](const Device& d) {
        return d.number(CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8;
      }, "Of sub-buffers, in bytes")
      .def("has_extension", &Device::has_extension)
      .def("__repr__", [](const Device& d) { return "<faultline_opencl.Device " + d.text(CL_DEVICE_NAME) + ">"; })
      .def("__eq__", [](const Device& a, const Device& b) { return a.id() == b.id(); }, py::is_operator());

  py::class_<Platform>(module, "Platform")
      .def_property_readonly("name", [](const Platform& p) { return p.text(CL_PLATFORM_NAME); })
      .def_property_readonly("vendor", [](const Platform& p) { return p.text(CL_PLATFORM_VENDOR); })
      .def_property_readonly("version", [](const Platform& p) { return p.text(CL_PLATFORM_VERSION); })
      .def_property_readonly("extensions", [](const Platform& p) { return p.text(CL_PLATFORM_EXTENSIONS); })
      .def_property_readonly("devices", &Platform::devices);
  module.def("platforms", &platforms, Released(), "Empty if the loader finds no driver");

  py::class_<Context, std::shared_ptr<Context>>(module, "Context")
      .def(py::init<std::vector<Device>>(), "devices"_a, Released())
      .def_property_readonly("devices", &Context::devices);
}

template <typename T>
void bind_atomics(py::class_<Memory, std::shared_ptr<Memory>>& memory, const std::string& suffix) {
  const auto cell = [](const Memory& m, std::size_t offset) { return reinterpret_cast<T*>(m.at(offset, sizeof(T))); };
  memory
      .def(("load" + suffix).c_str(), [=](const Memory& m, std::size_t offset) {
        return __atomic_load_n(cell(m, offset), __ATOMIC_SEQ_CST);
      }, "offset"_a = 0)
      .def(("store" + suffix).c_str(), [=](const Memory& m, std::size_t offset, T value) {
        __atomic_store_n(cell(m, offset), value, __ATOMIC_SEQ_CST);
      }, "offset"_a, "value"_a)
      .def(("exchange" + suffix).c_str(), [=](const Memory& m, std::size_t offset, T value) {
        return __atomic_exchange_n(cell(m, offset), value, __ATOMIC_SEQ_CST);
      }, "offset"_a, "value"_a)
      .def(("fetch_add" + suffix).c_str(), [=](const Memory& m, std::size_t offset, T value, std::size_t times) {
        T before = 0;
        for (std::size_t i = 0; i < times; ++i) before = __atomic_fetch_add(cell(m, offset), value, __ATOMIC_SEQ_CST);
        return before;
      }, "offset"_a, "value"_a, "times"_a = 1, Released(), "The old value before the last addition")
      .def(("compare_exchange" + suffix).c_str(), [=](const Memory& m, std::size_t offset, T expected, T value) {
        __atomic_compare_exchange_n(cell(m, offset), &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        return expected;
      }, "offset"_a, "expected"_a, "value"_a, "The old value; `value` is stored if the old value was `expected`");
}

void bind_memory(py::module_& module) {
  py::class_<Memory, std::shared_ptr<Memory>> memory(module, "Memory", py::buffer_protocol());
  memory.def_property_readonly("address", &Memory::address)
      .def_property_readonly("size", &Memory::size)
      .def("__add__", [](const Memory& m, std::ptrdiff_t offset) { return m.address() + offset; },
           "The address plus so many bytes")
      .def("read", [](const Memory& m, std::size_t offset, std::optional<std::size_t> size) {
        const std::size_t length = size ? *size : m.size() - std::min(offset, m.size());
        return py::bytes(reinterpret_cast<const char*>(m.at(offset, length)), length);
      }, "offset"_a = 0, "size"_a = py::none())
      .def("write", [](const Memory& m, const py::bytes& bytes, std::size_t offset) {
        const std::string_view text = bytes;
        std::memcpy(m.at(offset, text.size()), text.data(), text.size());
      }, "bytes"_a, "offset"_a = 0)
      .def_property_readonly("words", [](const py::object& m) { return py::memoryview(m).attr("cast")("I"); },
                             "As 32-bit numbers, to read and write in place")
      .def_property_readonly("longs", [](const py::object& m) { return py::memoryview(m).attr("cast")("Q"); })
      .def_buffer([](Memory& m) {
        return py::buffer_info(reinterpret_cast<std::uint8_t*>(m.at(0, m.size())), static_cast<py::ssize_t>(m.size()));
      });
  bind_atomics<std::uint32_t>(memory, "");
  bind_atomics<std::uint64_t>(memory, "64");

  py::class_<SvmMemory, Memory, std::shared_ptr<SvmMemory>>(module, "SvmMemory")
      .def(py::init<std::shared_ptr<Context>, cl_svm_mem_flags, std::size_t, cl_uint>(), "context"_a, "flags"_a,
           "size"_a, "alignment"_a = 0)
      .def("free", &SvmMemory::free, Released(), "clSVMFree now")
      .def("forget", &SvmMemory::forget, "clEnqueueSVMFree frees it");
  py::class_<SystemMemory, Memory, std::shared_ptr<SystemMemory>>(module, "SystemMemory")
      .def(py::init<std::size_t, std::size_t>(), "size"_a, "alignment"_a = 128);
  py::class_<StaticMemory, Memory, std::shared_ptr<StaticMemory>>(module, "StaticMemory").def(py::init<>());
  module.def("on_stack", [](std::size_t size, const py::function& use) {
    on_stack(size, [&use](const std::shared_ptr<Memory>& memory) { use(memory); });
  }, "size"_a, "use"_a, "Calls `use` with memory on this thread's stack");

  py::class_<Buffer, std::shared_ptr<Buffer>>(module, "Buffer")
      .def(py::init([](std::shared_ptr<Context> context, cl_mem_flags flags, std::size_t size,
                       std::shared_ptr<Memory> memory, std::size_t offset) {
        return std::make_shared<Buffer>(context, flags, size, memory ? memory->at(offset, 0) : nullptr, memory);
      }), "context"_a, "flags"_a, "size"_a, "memory"_a = nullptr, "offset"_a = 0)
      .def("sub", [](std::shared_ptr<Buffer> parent, std::size_t origin, std::size_t size, cl_mem_flags flags) {
        return std::make_shared<Buffer>(parent, flags, origin, size);
      }, "origin"_a, "size"_a, "flags"_a = 0)
      .def_property_readonly("size", &Buffer::size)
      .def_property_readonly("flags", &Buffer::flags)
      .def_property_readonly("uses_svm_pointer", &Buffer::uses_svm_pointer);
}

void bind_events(py::module_& module) {
  py::class_<Event, std::shared_ptr<Event>>(module, "Event")
      .def("wait", [](std::shared_ptr<Event> event, double seconds) { wait({event}, seconds); }, "seconds"_a = 20,
           Released())
      .def_property_readonly("status", [](const Event& event) { return status_name(event.status()); })
      .def_property_readonly("command", [](const Event& event) { return command_name(event.command()); })
      .def_property_readonly("times", [](const Event& event) {
        const Times times = event.times();
        return py::dict("queued"_a = times.queued, "submitted"_a = times.submitted, "started"_a = times.started,
                        "ended"_a = times.ended);
      }, "Nanoseconds, on a queue with profiling");
  py::class_<UserEvent, Event, std::shared_ptr<UserEvent>>(module, "UserEvent")
      .def(py::init([](std::shared_ptr<Context> context) { return std::make_shared<UserEvent>(*context); }), "context"_a)
      .def("set", &UserEvent::set, "status"_a = CL_COMPLETE, Released());
  module.def("wait", &wait, "events"_a, "seconds"_a = 20, Released());

  py::class_<Freed, std::shared_ptr<Freed>>(module, "Freed")
      .def(py::init<>())
      .def_property_readonly("called", [](Freed& freed) {
        const std::lock_guard lock(freed.mutex);
        return freed.called;
      })
      .def_property_readonly("addresses", [](Freed& freed) {
        const std::lock_guard lock(freed.mutex);
        return freed.addresses;
      })
      .def("by", [](Freed& freed, const Queue& queue) {
        const std::lock_guard lock(freed.mutex);
        return freed.queue == queue.get();
      }, "queue"_a, "Whether the callback got this queue");
}

void bind_kernels(py::module_& module) {
  py::class_<Program, std::shared_ptr<Program>>(module, "Program")
      .def(py::init<std::shared_ptr<Context>, const std::string&, const std::string&>(), "context"_a, "source"_a,
           "options"_a = "", Released());
  py::class_<Kernel, std::shared_ptr<Kernel>>(module, "Kernel")
      .def(py::init<std::shared_ptr<Program>, const std::string&>(), "program"_a, "name"_a)
      .def("clone", &Kernel::clone)
      .def("set", [](Kernel& kernel, cl_uint index, const py::object& value) {
        if (py::isinstance<Buffer>(value)) {
          kernel.set_buffer(index, value.cast<std::shared_ptr<Buffer>>());
        } else if (py::isinstance<py::bytes>(value)) {
          const auto held = value.cast<py::bytes>();
          const std::string_view bytes = held;
          kernel.set_bytes(index, bytes.data(), bytes.size());
        } else {
          kernel.set_pointer(index, address_of(value));
        }
      }, "index"_a, "value"_a, "A buffer, memory or an address (clSetKernelArgSVMPointer), or a scalar's bytes")
      .def("use", [](Kernel& kernel, const py::iterable& memory) { kernel.set_svm_pointers(addresses_of(memory)); },
           "memory"_a, "clSetKernelExecInfo: all the memory that the kernel reaches through pointers")
      .def("use_system_memory", &Kernel::set_fine_grain_system, "used"_a)
      .def("set_exec_info", [](Kernel& kernel, cl_kernel_exec_info what, std::optional<std::string> bytes,
                               std::optional<std::size_t> size) {
        kernel.set_exec_info(what, size.value_or(bytes ? bytes->size() : 0), bytes ? bytes->data() : nullptr);
      }, "what"_a, "bytes"_a = py::none(), "size"_a = py::none(), "The raw call, for calls that must fail");
}

void bind_queue(py::module_& module) {
  using Afters = Events;
  py::class_<Queue, std::shared_ptr<Queue>>(module, "Queue")
      .def(py::init<std::shared_ptr<Context>, Device, bool, bool, double>(), "context"_a, "device"_a,
           "out_of_order"_a = false, "profiling"_a = true, "deadline"_a = 20.0)
      .def_property_readonly("context", &Queue::context)
      .def_property_readonly("device", &Queue::device)
      .def_property_readonly("state", &Queue::state)
      .def("nd_range", &Queue::nd_range, "kernel"_a, "size"_a, "local"_a = Queue::Range{},
           "offset"_a = Queue::Range{}, "after"_a = Afters{}, Released())
      .def("map", [](Queue& queue, const py::object& memory, std::size_t size, cl_map_flags flags, bool blocking,
                     const Afters& after) {
        const std::uintptr_t address = address_of(memory);
        const py::gil_scoped_release release;
        return queue.map(address, size, flags, blocking, after);
      }, "memory"_a, "size"_a, "flags"_a = CL_MAP_READ | CL_MAP_WRITE, "blocking"_a = true, "after"_a = Afters{})
      .def("unmap", [](Queue& queue, const py::object& memory, const Afters& after) {
        const std::uintptr_t address = address_of(memory);
        const py::gil_scoped_release release;
        return queue.unmap(address, after);
      }, "memory"_a, "after"_a = Afters{})
      .def("memcpy", [](Queue& queue, const py::object& to, const py::object& from, std::size_t size, bool blocking,
                        const Afters& after) {
        const std::uintptr_t target = address_of(to), source = address_of(from);
        const py::gil_scoped_release release;
        return queue.memcpy(target, source, size, blocking, after);
      }, "to"_a, "source"_a, "size"_a, "blocking"_a = false, "after"_a = Afters{})
      .def("fill", [](Queue& queue, const py::object& to, std::optional<py::bytes> pattern, std::size_t size,
                      std::optional<std::size_t> pattern_size, const Afters& after) {
        const std::uintptr_t target = address_of(to);
        std::optional<std::string> bytes;
        if (pattern) bytes = std::string(*pattern);
        const std::size_t length = pattern_size.value_or(bytes ? bytes->size() : 0);
        const py::gil_scoped_release release;
        return queue.fill(target, bytes, length, size, after);
      }, "to"_a, "pattern"_a, "size"_a, "pattern_size"_a = py::none(), "after"_a = Afters{})
      .def("migrate", [](Queue& queue, const py::iterable& memory, std::optional<std::vector<std::size_t>> sizes,
                         cl_mem_migration_flags flags, const Afters& after) {
        const std::vector<std::uintptr_t> addresses = addresses_of(memory);
        const py::gil_scoped_release release;
        return queue.migrate(addresses, sizes, flags, after);
      }, "memory"_a, "sizes"_a = py::none(), "flags"_a = 0, "after"_a = Afters{})
      .def("free", [](Queue& queue, const py::iterable& memory, std::shared_ptr<Freed> freed, const py::iterable& kept,
                      std::optional<cl_uint> count, const Afters& after) {
        const std::vector<std::uintptr_t> addresses = addresses_of(memory), stay = addresses_of(kept);
        const py::gil_scoped_release release;
        return queue.free(addresses, freed, stay, count, after);
      }, "memory"_a, "freed"_a = nullptr, "kept"_a = py::tuple(), "count"_a = py::none(), "after"_a = Afters{},
           "clEnqueueSVMFree; with `freed`, the driver calls back. Call forget() on the memory")
      .def("map_buffer", &Queue::map_buffer, "buffer"_a, "flags"_a, "offset"_a, "size"_a, "after"_a = Afters{},
           Released(), "Blocks; returns the address and the event")
      .def("unmap_buffer", &Queue::unmap_buffer, "buffer"_a, "address"_a, "after"_a = Afters{}, Released())
      .def("read_buffer", [](Queue& queue, std::shared_ptr<Buffer> buffer, std::size_t offset, std::size_t size,
                             const Afters& after) {
        std::string bytes;
        {
          const py::gil_scoped_release release;
          bytes = queue.read_buffer(buffer, offset, size, after);
        }
        return py::bytes(bytes);
      }, "buffer"_a, "offset"_a, "size"_a, "after"_a = Afters{})
      .def("write_buffer", [](Queue& queue, std::shared_ptr<Buffer> buffer, std::size_t offset, const py::bytes& bytes,
                              const Afters& after) {
        const std::string text = bytes;
        const py::gil_scoped_release release;
        return queue.write_buffer(buffer, offset, text, after);
      }, "buffer"_a, "offset"_a, "bytes"_a, "after"_a = Afters{})
      .def("barrier", &Queue::barrier, "after"_a = Afters{}, Released())
      .def("marker", &Queue::marker, "after"_a = Afters{}, Released())
      .def("flush", &Queue::flush, Released())
      .def("finish", &Queue::finish, "seconds"_a = py::none(), Released());
}

void bind_constants(py::module_& module) {
  const std::pair<const char*, cl_ulong> constants[] = {
      {"READ_WRITE", CL_MEM_READ_WRITE}, {"WRITE_ONLY", CL_MEM_WRITE_ONLY}, {"READ_ONLY", CL_MEM_READ_ONLY},
      {"FINE_GRAIN", CL_MEM_SVM_FINE_GRAIN_BUFFER}, {"ATOMICS", CL_MEM_SVM_ATOMICS},
      {"USE_HOST_PTR", CL_MEM_USE_HOST_PTR}, {"COPY_HOST_PTR", CL_MEM_COPY_HOST_PTR},
      {"ALLOC_HOST_PTR", CL_MEM_ALLOC_HOST_PTR},
      {"HOST_READ_ONLY", CL_MEM_HOST_READ_ONLY}, {"HOST_WRITE_ONLY", CL_MEM_HOST_WRITE_ONLY},
      {"HOST_NO_ACCESS", CL_MEM_HOST_NO_ACCESS}, {"MAP_READ", CL_MAP_READ}, {"MAP_WRITE", CL_MAP_WRITE},
      {"MAP_WRITE_INVALIDATE", CL_MAP_WRITE_INVALIDATE_REGION}, {"MIGRATE_TO_HOST", CL_MIGRATE_MEM_OBJECT_HOST},
      {"MIGRATE_UNDEFINED", CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED},
      {"EXEC_INFO_SVM_PTRS", CL_KERNEL_EXEC_INFO_SVM_PTRS},
      {"EXEC_INFO_FINE_GRAIN_SYSTEM", CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM}};
  for (const auto& [name, value] : constants) module.attr(name) = value;
}

}  // namespace
// clang-format on

PYBIND11_MODULE(faultline_opencl, module) {
  module.doc() = "Shared virtual memory of OpenCL devices, call by call, with deadlines and errors that say what helps.";
  bind_errors(module);
  bind_devices(module);
  bind_memory(module);
  bind_events(module);
  bind_kernels(module);
  bind_queue(module);
  bind_constants(module);
}

}  // namespace faultline::svm
