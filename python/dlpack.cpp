// Sharing memory with other libraries by DLPack (dmlc/dlpack, version 0 structures).
#include "core/error.h"
#include "python/bindings.h"
#include "python/lazy/capture.h"
#include "python/lazy/evaluate.h"

namespace plait::python {
namespace {

// The structures that the standard lays down.
struct DLDevice {
  int32_t device_type, device_id;
};
struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;
  int64_t* strides;  // in elements; null: row-major
  uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};

constexpr int32_t kCpu = 1;
constexpr const char* kName = "dltensor";
enum Code : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kBool = 6 };

DLDataType to_dlpack(DType dtype) {
  const auto bits = static_cast<uint8_t>(8 * dtype_size(dtype));
  switch (dtype) {
    case DType::boolean:
      return {kBool, bits, 1};
    case DType::i8:
    case DType::i16:
    case DType::i32:
    case DType::i64:
      return {kInt, bits, 1};
    case DType::u8:
    case DType::u32:
    case DType::u64:
      return {kUInt, bits, 1};
    case DType::bf16:
      return {kBfloat, bits, 1};
    case DType::f16:
    case DType::f32:
    case DType::f64:
      return {kFloat, bits, 1};
  }
  PLAIT_UNREACHABLE("dtype {}", static_cast<int>(dtype));
}

DType from_dlpack(DLDataType given) {
  for (DType dtype : kAllDTypes) {
    const DLDataType known = to_dlpack(dtype);
    if (known.code == given.code && known.bits == given.bits && given.lanes == 1) return dtype;
  }
  throw UserError(fmt::format("[from_dlpack] no dtype has code {}, {} bits and {} lanes",
                              given.code, given.bits, given.lanes));
}

struct Exported {
  DLManagedTensor managed;
  Array array;
};

py::object export_tensor(const LazyTensor& tensor) {
  lazy::check_not_capturing("__dlpack__");
  auto exported = std::make_unique<Exported>();
  exported->array = lazy::array_of(tensor.value());
  Array& array = exported->array;
  exported->managed = {{array.buffer->data(),
                        {kCpu, 0},
                        static_cast<int32_t>(array.shape.size()),
                        to_dlpack(array.dtype),
                        array.shape.data(),
                        nullptr,
                        0},
                       exported.get(),
                       [](DLManagedTensor* self) { delete static_cast<Exported*>(self->context); }};
  PyObject* capsule = PyCapsule_New(&exported->managed, kName, [](PyObject* object) {
    if (!PyCapsule_IsValid(object, kName)) return;  // somebody took it
    auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(object, kName));
    managed->deleter(managed);
  });
  if (!capsule) throw py::error_already_set();
  exported.release();
  return py::reinterpret_steal<py::object>(capsule);
}

bool is_row_major(const DLTensor& tensor) {
  if (!tensor.strides) return true;
  int64_t expected = 1, count = 1;
  for (int32_t i = 0; i < tensor.ndim; ++i) count *= tensor.shape[i];
  for (int32_t i = tensor.ndim; i-- > 0;) {
    if (count > 0 && tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

LazyTensor import_tensor(const py::object& object) {
  const bool is_capsule = PyCapsule_CheckExact(object.ptr()) != 0;
  PLAIT_CHECK(is_capsule || py::hasattr(object, "__dlpack__"), "from_dlpack",
              "an object with __dlpack__ is needed; got {}", py::repr(object).cast<std::string>());
  const py::object capsule = is_capsule ? object : object.attr("__dlpack__")();
  PLAIT_CHECK(PyCapsule_IsValid(capsule.ptr(), kName), "from_dlpack",
              "the capsule has been taken already, or is not DLPack's");
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), kName));
  const DLTensor& tensor = managed->tensor;
  const DType dtype = from_dlpack(tensor.dtype);
  PLAIT_CHECK(tensor.device.device_type == kCpu, "from_dlpack",
              "memory of the CPU is needed; got device type {}. hint: copy it to the CPU first",
              tensor.device.device_type);
  PLAIT_CHECK(is_row_major(tensor), "from_dlpack",
              "shares memory with row-major tensors alone; got strides [{}]. hint: make it "
              "contiguous first",
              fmt::join(tensor.strides, tensor.strides + tensor.ndim, ", "));
  void* data = static_cast<std::byte*>(tensor.data) + tensor.byte_offset;
  PLAIT_CHECK(reinterpret_cast<uintptr_t>(data) % dtype_size(dtype) == 0, "from_dlpack",
              "elements must be aligned to their size");
  Array array{dtype, std::vector<int64_t>(tensor.shape, tensor.shape + tensor.ndim), nullptr};
  PyCapsule_SetName(capsule.ptr(), "used_dltensor");
  const std::shared_ptr<void> owner(managed, [](void* held) {
    if (!Py_IsInitialized()) return;  // the process is ending
    const py::gil_scoped_acquire acquire;
    auto* taken = static_cast<DLManagedTensor*>(held);
    if (taken->deleter) taken->deleter(taken);
  });
  array.buffer = Buffer::foreign(data, array.bytes(), owner);
  return LazyTensor(lazy::array_node(std::move(array)));
}

}  // namespace

void bind_dlpack(py::module_& module) {
  module.def("to_dlpack", &export_tensor);
  module.def("from_dlpack", &import_tensor, py::arg("object"),
             "A tensor that shares the memory of an object with __dlpack__, which must not change "
             "while the tensor is in use.");
}

}  // namespace plait::python
