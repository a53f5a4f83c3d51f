// Tensors: memory, values, gradients, in-place writes.
#include "core/error.h"
#include "ops/random.h"
#include "python/bindings.h"
#include "python/lazy/capture.h"
#include "python/lazy/evaluate.h"

namespace plait::python {
namespace {

using lazy::Cell;
using lazy::Ref;

std::vector<Ref> refs_of(const std::vector<LazyTensor>& tensors) {
  std::vector<Ref> refs;
  for (const LazyTensor& tensor : tensors) refs.push_back(tensor.value());
  return refs;
}

LazyTensor make_tensor(const py::object& data, const py::object& dtype, bool requires_grad) {
  note_line();
  const LazyTensor given = to_tensor(data);
  Ref ref = given.value();
  if (!dtype.is_none() && to_dtype(dtype) != ref.type().dtype) {
    ref = lazy::call_op("to", {lazy::OperandIndex{0}, to_dtype(dtype)}, {ref});
  }
  PLAIT_CHECK(!requires_grad || is_float(ref.type().dtype), "tensor",
              "only floats have gradients; got {}", to_string(ref.type()));
  // Memory of its own: what is given stays as it is.
  LazyTensor result(lazy::array_node(lazy::array_of(ref)));
  result.cell()->set_requires_grad(requires_grad);
  return result;
}

void set_requires_grad(LazyTensor& tensor, bool on) {
  PLAIT_CHECK(!on || is_float(tensor.type().dtype), "requires_grad",
              "only floats have gradients; got {}", to_string(tensor.type()));
  PLAIT_CHECK(tensor.cell()->is_leaf() && !tensor.is_view(), "requires_grad",
              "only memory can be asked for gradients, not the result of an op; got {}. hint: use "
              "detach().clone()",
              to_string(tensor.type()));
  // Memory of its own, whatever the op was that gave it.
  const bool turns_on = on && !tensor.value().node->requires_grad;
  if (turns_on && !tensor.cell()->slot()) {
    tensor.cell()->set_value(lazy::array_node(lazy::array_of(tensor.value())));
  }
  tensor.cell()->set_requires_grad(on);
}

void check_loss(const Ref& loss, bool has_seed) {
  const Type& type = loss.type();
  PLAIT_CHECK(is_float(type.dtype) && (has_seed || type.rank() == 0), "backward",
              "the loss must be a float of rank 0; got {}. hint: reduce it (mean, sum), or give "
              "`gradient`",
              to_string(type));
  PLAIT_CHECK(loss.node->requires_grad, "backward",
              "the loss does not depend on a tensor that requires gradients; got {}. hint: set "
              "requires_grad, and do not use no_grad or detach",
              to_string(type));
}

Ref seed_of(const py::object& gradient, const Ref& loss) {
  if (gradient.is_none()) return {};
  const Ref seed = to_tensor(gradient).value();
  PLAIT_CHECK(seed.type() == loss.type(), "backward",
              "`gradient` has the type of the loss; got gradient: {}, loss: {}",
              to_string(seed.type()), to_string(loss.type()));
  return seed;
}

Ref add(const Ref& a, const Ref& b) {
  return lazy::call_op("add", {lazy::OperandIndex{0}, lazy::OperandIndex{1}, int64_t{1}}, {a, b});
}

void backward(const LazyTensor& loss, const py::object& gradient, std::optional<bool> retain_graph,
              bool create_graph) {
  note_line();
  lazy::check_not_capturing("backward");
  const Ref value = loss.value();
  const Ref seed = seed_of(gradient, value);
  check_loss(value, static_cast<bool>(seed));
  const std::vector<lazy::Leaf> leaves = lazy::leaves_of(value);
  std::vector<Ref> wrt;
  for (const lazy::Leaf& leaf : leaves) {
    for (const Ref& read : leaf.values) wrt.push_back(read);
  }
  const lazy::GradientOptions options{.create_graph = create_graph,
                                      .frees_history = !retain_graph.value_or(create_graph)};
  const std::vector<Ref> results = lazy::gradient(value, seed, wrt, options);
  size_t next = 0;
  for (const lazy::Leaf& leaf : leaves) {
    Ref sum = results[next++];
    for (size_t i = 1; i < leaf.values.size(); ++i) sum = add(sum, results[next++]);
    if (const std::shared_ptr<Cell>& old = leaf.cell->grad()) {
      old->set_value(add(old->value(), sum));
    } else {
      leaf.cell->set_grad(std::make_shared<Cell>(std::move(sum)));
    }
  }
}

std::vector<LazyTensor> gradients(const LazyTensor& loss, const std::vector<LazyTensor>& inputs,
                                  const py::object& gradient, bool create_graph) {
  note_line();
  const Ref value = loss.value();
  const Ref seed = seed_of(gradient, value);
  check_loss(value, static_cast<bool>(seed));
  for (const LazyTensor& input : inputs) {
    PLAIT_CHECK(is_float(input.type().dtype) && input.value().node->requires_grad, "grad",
                "gradients are by floats that require them; got {}. hint: set requires_grad",
                to_string(input.type()));
  }
  std::vector<LazyTensor> results;
  lazy::leaves_of(value);
  for (const Ref& ref :
       lazy::gradient(value, seed, refs_of(inputs), {.create_graph = create_graph})) {
    results.emplace_back(ref);
  }
  return results;
}

// The value as this tensor's dtype and shape.
void write(LazyTensor& tensor, const py::object& object) {
  note_line();
  const Type type = tensor.type();
  Ref value;
  if (PyFloat_Check(object.ptr()) || PyLong_Check(object.ptr())) {
    lazy::CallArgument number = 0.0;
    if (PyBool_Check(object.ptr())) {
      number = object.cast<bool>();
    } else if (PyLong_Check(object.ptr())) {
      int overflow = 0;
      number = int64_t{PyLong_AsLongLongAndOverflow(object.ptr(), &overflow)};
      PLAIT_CHECK(overflow == 0, "write", "the number does not fit into 64 bits; got {}",
                  py::repr(object).cast<std::string>());
    } else {
      number = object.cast<double>();
    }
    value = lazy::call_op("full", {type.shape, number, type.dtype}, {});
  } else {
    value = to_tensor(object).value();
    const bool narrows = is_float(value.type().dtype) && !is_float(type.dtype);
    PLAIT_CHECK(!narrows, "write", "floats are not written into {}; got {}. hint: use to({})",
                to_string(type), to_string(value.type()), dtype_name(type.dtype));
    if (value.type().dtype != type.dtype) {
      value = lazy::call_op("to", {lazy::OperandIndex{0}, type.dtype}, {value});
    }
    if (value.type().shape != type.shape) {
      value = lazy::call_op("expand", {lazy::OperandIndex{0}, type.shape}, {value});
    }
  }
  tensor.write(value);
}

LazyTensor make_parameter(const py::object& data, const std::string& name, bool trainable) {
  Array array = py::isinstance<LazyTensor>(data) ? lazy::array_of(data.cast<LazyTensor>().value())
                                                 : lazy::array_of(to_tensor(data).value());
  auto cell = std::make_shared<Cell>(std::make_shared<Slot>(name, std::move(array), trainable));
  cell->set_requires_grad(trainable);
  return LazyTensor(std::move(cell));
}

void set_grad(LazyTensor& tensor, const py::object& grad) {
  if (grad.is_none()) return tensor.cell()->set_grad(nullptr);
  const LazyTensor given = to_tensor(grad);
  PLAIT_CHECK(given.type() == tensor.type(), "grad",
              "a gradient has its tensor's type; got grad: {}, tensor: {}", to_string(given.type()),
              to_string(tensor.type()));
  tensor.cell()->set_grad(given.is_view() ? std::make_shared<Cell>(given.value()) : given.cell());
}

void bind_tensor_class(py::module_& module) {
  py::class_<LazyTensor> tensor(module, "Tensor", py::dynamic_attr(),
                                "A lazily computed tensor. See plait.tensor.");
  tensor.def(py::init([](const LazyTensor& other) { return other; }), py::arg("other"))
      .def_property_readonly("dtype", [](const LazyTensor& t) { return t.type().dtype; })
      .def_property_readonly("shape", [](const LazyTensor& t) { return to_shape(t.type().shape); })
      .def_property_readonly("ndim", [](const LazyTensor& t) { return t.type().rank(); })
      .def(
          "numpy",
          [](const LazyTensor& t, bool copy) {
            const Array& array = lazy::array_of(t.value());
            return copy ? to_numpy(array) : view_numpy(array);
          },
          py::arg("copy") = true,
          "The elements as a numpy array of their own; without `copy` a read-only view of them.")
      .def("item", [](const LazyTensor& t) { return to_python(lazy::array_of(t.value())); })
      .def("backward", &backward, py::arg("gradient") = py::none(),
           py::arg("retain_graph") = py::none(), py::arg("create_graph") = false,
           "Adds the gradients of this scalar to `.grad` of all that it was computed from and that "
           "requires them. Without `retain_graph` it can be called once.")
      .def_property(
          "grad",
          [](const LazyTensor& t) -> py::object {
            const auto& grad = t.cell()->grad();
            return grad ? py::cast(LazyTensor(grad)) : py::none();
          },
          [](LazyTensor& t, const py::object& grad) { set_grad(t, grad); })
      .def_property(
          "requires_grad", [](const LazyTensor& t) { return t.value().node->requires_grad; },
          &set_requires_grad)
      .def_property_readonly(
          "is_leaf", [](const LazyTensor& t) { return !t.is_view() && t.cell()->is_leaf(); })
      .def("_write", &write)
      .def_property_readonly("_computed",
                             [](const LazyTensor& t) {
                               const Ref ref = t.value();
                               return ref.node->computed(ref.index);
                             })
      .def_property_readonly("_is_slot",
                             [](const LazyTensor& t) { return t.cell()->slot() != nullptr; })
      .def_property(
          "_slot_name",
          [](const LazyTensor& t) {
            return t.cell()->slot() ? t.cell()->slot()->name() : std::string();
          },
          [](LazyTensor& t, const std::string& name) {
            if (t.cell()->slot()) t.cell()->slot()->rename(name);
          })
      .def_property_readonly("_cell_id", [](const LazyTensor& t) {
        return reinterpret_cast<uintptr_t>(t.cell().get());
      });
}

}  // namespace

void bind_tensors(py::module_& module) {
  py::enum_<DType> dtypes(module, "DType");
  for (DType dtype : kAllDTypes) {
    dtypes.value(dtype == DType::boolean ? "boolean" : dtype_name(dtype), dtype);
  }
  dtypes.def("__str__", [](DType dtype) { return dtype_name(dtype); });
  dtypes.def("__repr__", [](DType dtype) { return fmt::format("plait.{}", dtype_name(dtype)); });
  dtypes.def_property_readonly("is_floating_point", [](DType dtype) { return is_float(dtype); });
  dtypes.def_property_readonly("itemsize", [](DType dtype) { return dtype_size(dtype); });

  bind_tensor_class(module);
  module.def("tensor", &make_tensor, py::arg("data"), py::arg("dtype") = py::none(),
             py::arg("requires_grad") = false);
  module.def("from_numpy", [](const py::array& array) {
    return LazyTensor(lazy::array_node(share_array(array)));
  });
  module.def("parameter", &make_parameter, py::arg("data"), py::arg("name") = "parameter",
             py::arg("trainable") = true);
  module.def("gradients", &gradients, py::arg("loss"), py::arg("inputs"),
             py::arg("gradient") = py::none(), py::arg("create_graph") = false);
  module.def("live_bytes", &Buffer::live_bytes, "Bytes of all buffers that the process holds.");
  module.def("evaluate",
             [](const std::vector<LazyTensor>& tensors) { lazy::evaluate(refs_of(tensors)); });
  module.def("promote", [](const py::object& a, const py::object& b) {
    return promote(to_dtype(a), to_dtype(b));
  });
  module.def("set_grad_enabled", [](bool on) { lazy::grad_enabled() = on; });
  module.def("grad_enabled", [] { return lazy::grad_enabled(); });
  module.def("manual_seed", &manual_seed, py::arg("seed"));
  module.def("random_state", [] {
    static auto& cell = *new std::shared_ptr<Cell>(std::make_shared<Cell>(random_state()));
    return LazyTensor(cell);
  });
  module.def("set_package_folder", &set_package_folder);
  module.def("clear_cache", &lazy::clear_cache,
             "Lets go of all programs that tensors keep, and of their code.");
  module.def("cached_programs", &lazy::cached_programs);
  module.def("live_counts", [] {
    py::dict counts;
    counts["nodes"] = lazy::live_counts().nodes;
    counts["cells"] = lazy::live_counts().cells;
    counts["bytes"] = Buffer::live_bytes();
    counts["calls"] = lazy::call_memory_size();
    counts["programs"] = lazy::cached_programs();
    return counts;
  });
}

}  // namespace plait::python
