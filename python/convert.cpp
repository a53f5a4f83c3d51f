// Between Python's objects and Plait's: arrays, dtypes, sizes, source lines.
#include <cstring>
#include <unordered_map>

#include "core/error.h"
#include "python/bindings.h"

namespace plait::python {
namespace {

constexpr const char* kNumpyNames[] = {"bool",    "int8",     "uint8",   "int16",
                                       "int32",   "int64",    "uint32",  "uint64",
                                       "float16", "bfloat16", "float32", "float64"};

py::dtype numpy_dtype(DType dtype) {
  if (dtype != DType::bf16) return py::dtype(kNumpyNames[static_cast<size_t>(dtype)]);
  try {
    return py::dtype::from_args(py::module_::import("ml_dtypes").attr("bfloat16"));
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_ImportError)) throw;
    throw UserError(
        "[numpy] numpy has no bfloat16 of its own. hint: pip install ml_dtypes, or convert first: "
        "x.float()");
  }
}

std::string type_name(const py::handle& object) {
  return py::str(py::type::of(object).attr("__name__")).cast<std::string>();
}

std::string& package_folder() {
  static std::string folder = "\n";  // no file's
  return folder;
}

// Null for files of the package.
std::shared_ptr<const std::string> user_file(PyObject* name) {
  static auto& known = *new std::unordered_map<PyObject*, std::shared_ptr<const std::string>>;
  const auto found = known.find(name);
  if (found != known.end()) return found->second;
  const auto text = py::handle(name).cast<std::string>();
  const bool inside = text.compare(0, package_folder().size(), package_folder()) == 0;
  Py_INCREF(name);  // so that its address stays its own
  return known[name] = inside ? nullptr : std::make_shared<const std::string>(text);
}

}  // namespace

DType to_dtype(const py::handle& object) {
  if (py::isinstance<DType>(object)) return object.cast<DType>();
  const py::object given = py::reinterpret_borrow<py::object>(object);
  std::string name;
  if (py::isinstance<py::str>(object)) {
    name = given.cast<std::string>();
  } else {
    try {
      name = py::str(py::dtype::from_args(given).attr("name")).cast<std::string>();
    } catch (py::error_already_set& error) {
      if (!error.matches(PyExc_TypeError)) throw;
      name = py::repr(given).cast<std::string>();
    }
  }
  if (name == "boolean") return DType::boolean;
  if (const auto dtype = parse_dtype(name)) return *dtype;
  for (DType dtype : kAllDTypes) {
    if (name == kNumpyNames[static_cast<size_t>(dtype)]) return dtype;
  }
  throw UserError(
      fmt::format("[dtype] no dtype is called '{}'. hint: they are bool, i8, u8, i16, i32, i64, "
                  "u32, u64, f16, bf16, f32, f64, also by numpy's names",
                  name));
}

Array to_array(const py::array& array) {
  const DType dtype = to_dtype(array.dtype());
  const py::object numpy = py::module_::import("numpy");
  const py::array whole = numpy.attr("ascontiguousarray")(array, numpy_dtype(dtype));
  std::vector<int64_t> shape(array.shape(), array.shape() + array.ndim());
  Array result = Array::empty(dtype, std::move(shape));
  if (result.bytes() > 0) std::memcpy(result.buffer->data(), whole.data(), result.bytes());
  return result;
}

Array share_array(py::array array) {
  const DType dtype = to_dtype(array.dtype());
  const auto address = reinterpret_cast<uintptr_t>(array.data());
  const bool plain = (array.flags() & py::array::c_style) != 0 &&
                     array.dtype().equal(numpy_dtype(dtype)) && address % dtype_size(dtype) == 0;
  PLAIT_CHECK(plain, "from_numpy",
              "shares memory with row-major, aligned arrays alone; got strides [{}]. hint: "
              "plait.tensor(array) copies",
              fmt::join(array.strides(), array.strides() + array.ndim(), ", "));
  array.attr("flags").attr("writeable") = false;
  std::vector<int64_t> shape(array.shape(), array.shape() + array.ndim());
  const auto size = static_cast<size_t>(array.nbytes());
  void* data = const_cast<void*>(array.data());
  const std::shared_ptr<void> owner(array.release().ptr(), [](void* object) {
    if (!Py_IsInitialized()) return;  // the process is ending
    const py::gil_scoped_acquire acquire;
    Py_DECREF(static_cast<PyObject*>(object));
  });
  return {dtype, std::move(shape), Buffer::foreign(data, size, owner)};
}

py::array to_numpy(const Array& array) {
  py::array result(numpy_dtype(array.dtype), array.shape);
  if (array.bytes() > 0) std::memcpy(result.mutable_data(), array.buffer->data(), array.bytes());
  return result;
}

py::array view_numpy(const Array& array) {
  auto* holder = new std::shared_ptr<Buffer>(array.buffer);
  const py::capsule owner(holder,
                          [](void* held) { delete static_cast<std::shared_ptr<Buffer>*>(held); });
  py::array result(numpy_dtype(array.dtype), array.shape, array.buffer->data(), owner);
  result.attr("flags").attr("writeable") = false;
  return result;
}

py::object to_python(const Array& array) {
  PLAIT_CHECK(array.count() == 1, "item", "a tensor of one element is needed; got {}",
              to_string(array.type()));
  const Scalar value = array.at(0);
  if (array.dtype == DType::boolean) return py::bool_(value.bits() != 0);
  if (is_float(array.dtype)) return py::float_(value.as_double());
  if (array.dtype == DType::u64) return py::int_(value.bits());
  return py::int_(value.as_int());
}

py::tuple to_shape(const Shape& shape) {
  py::tuple result(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) {
    const std::optional<int64_t> number = shape[i].constant();
    result[i] = number ? py::object(py::int_(*number)) : py::cast(shape[i]);
  }
  return result;
}

Expr to_size(const py::handle& object) {
  if (py::isinstance<Expr>(object)) return object.cast<Expr>();
  if (py::isinstance<py::bool_>(object) || !PyIndex_Check(object.ptr())) {
    throw py::cast_error(type_name(object));
  }
  return object.cast<int64_t>();
}

LazyTensor to_tensor(const py::handle& object) {
  if (py::isinstance<LazyTensor>(object)) return object.cast<LazyTensor>();
  PLAIT_CHECK(!object.is_none() && !py::isinstance<py::str>(object) &&
                  !py::isinstance<py::bytes>(object) && !py::isinstance<py::dict>(object),
              "tensor", "a tensor, an array, a list or a number is needed; got {} ({})",
              py::repr(object).cast<std::string>().substr(0, 80), type_name(object));
  const bool given = py::hasattr(object, "dtype");
  py::array array;
  try {
    array = py::module_::import("numpy").attr("asarray")(object);
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_ValueError) && !error.matches(PyExc_TypeError)) throw;
    throw UserError(fmt::format("[tensor] not an array: {}. hint: all rows need equal lengths",
                                py::str(error.value()).cast<std::string>()));
  }
  if (!given && array.dtype().kind() == 'f') array = array.attr("astype")("float32");
  return LazyTensor(lazy::array_node(to_array(array)));
}

void set_package_folder(std::string folder) { package_folder() = std::move(folder); }

void note_line() {
  PyFrameObject* frame = PyEval_GetFrame();
  Py_XINCREF(frame);
  std::shared_ptr<const std::string> file;
  int line = 0;
  while (frame) {
    PyCodeObject* code = PyFrame_GetCode(frame);
    file = user_file(code->co_filename);
    Py_DECREF(code);
    if (file) line = PyFrame_GetLineNumber(frame);
    PyFrameObject* back = file ? nullptr : PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = back;
  }
  lazy::set_line(std::move(file), line);
}

}  // namespace plait::python
