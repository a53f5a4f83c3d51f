#include <cstring>
#include <list>
#include <mutex>
#include <unordered_map>

#include "core/error.h"
#include "core/graph/build.h"
#include "core/graph/text.h"
#include "jit/compile.h"
#include "ops/compose.h"
#include "ops/random.h"
#include "passes/gradients.h"
#include "python/bindings.h"

namespace plait::python {
namespace {

constexpr const char* kNumpyNames[] = {"bool",    "int8",     "uint8",   "int16",
                                       "int32",   "int64",    "uint32",  "uint64",
                                       "float16", "bfloat16", "float32", "float64"};

py::dtype numpy_dtype(DType dtype) {
  if (dtype == DType::bf16)
    return py::dtype::from_args(py::module_::import("ml_dtypes").attr("bfloat16"));
  return py::dtype(kNumpyNames[static_cast<size_t>(dtype)]);
}

// The most recently used programs.
class ProgramCache {
 public:
  std::optional<Program> find(const std::string& key) {
    std::lock_guard lock(mutex_);
    const auto it = entries_.find(key);
    if (it == entries_.end()) return std::nullopt;
    order_.splice(order_.begin(), order_, it->second);
    return it->second->second;
  }
  void add(const std::string& key, const Program& program) {
    std::lock_guard lock(mutex_);
    if (entries_.contains(key)) return;
    order_.emplace_front(key, program);
    entries_[key] = order_.begin();
    constexpr size_t kMost = 256;
    if (order_.size() <= kMost) return;
    entries_.erase(order_.back().first);
    order_.pop_back();
  }
  void clear() {
    std::lock_guard lock(mutex_);
    entries_.clear();
    order_.clear();
  }
  size_t size() {
    std::lock_guard lock(mutex_);
    return order_.size();
  }

 private:
  using Entries = std::list<std::pair<std::string, Program>>;
  std::mutex mutex_;
  Entries order_;  // the latest first
  std::unordered_map<std::string, Entries::iterator> entries_;
};

ProgramCache& programs() {
  static ProgramCache cache;
  return cache;
}

bool leads_from_trainable(const Tensor& tensor) {
  const Graph& graph = *tensor.graph();
  std::vector<bool> needed(tensor.value() + 1, false);
  needed[tensor.value()] = true;
  for (size_t i = needed.size(); i-- > 0;) {
    if (!needed[i]) continue;
    const Node& node = graph.node(static_cast<Value>(i));
    if (node.op == MetaOp::parameter && node.attributes.slot->trainable()) return true;
    for (Value operand : node.operands) needed[operand] = true;
  }
  return false;
}

std::shared_ptr<Slot> new_slot(Array array, bool trainable) {
  return std::make_shared<Slot>("tensor", std::move(array), trainable);
}

}  // namespace

std::vector<Array> evaluate(const std::vector<Tensor>& tensors) {
  // A graph of its own, in which slots are inputs: their values, not their identity, matter.
  Graph needed;
  for (const Tensor& tensor : tensors) {
    needed.add_output(std::to_string(needed.outputs().size()), detail::value_in(needed, tensor));
  }
  std::map<std::string, Array> inputs;
  std::unordered_map<const Slot*, std::string> names;
  std::vector<std::shared_ptr<Slot>> random_states;
  const Graph graph =
      rewrite_graph(needed, [&](Graph& g, const Node& node, std::span<const Value>) {
        if (node.op != MetaOp::parameter) return kNoValue;
        const std::shared_ptr<Slot>& slot = node.attributes.slot;
        const auto [it, is_new] = names.emplace(slot.get(), "s" + std::to_string(names.size()));
        if (is_new) inputs[it->second] = slot->value();
        if (is_new && slot == random_state()) random_states.push_back(slot);
        return meta::input(g, it->second, node.type);
      });
  const Options& options = Options::global();
  const std::string key = options.key() + "\n" + to_text(graph);
  std::vector<Array> results;
  {
    py::gil_scoped_release release;
    std::optional<Program> program = programs().find(key);
    if (!program) {
      program = compile(graph, options);
      programs().add(key, *program);
    }
    results = program->run(inputs);
  }
  for (const std::shared_ptr<Slot>& state : random_states) {
    Array next = state->value().clone();
    ++next.data<int64_t>()[1];
    state->set(std::move(next));
  }
  return results;
}

const Array& LazyTensor::value() {
  if (slot_) return slot_->value();
  if (!value_) {
    value_ = evaluate({tensor_})[0];
    if (!leads_from_trainable(tensor_)) {
      slot_ = new_slot(*value_, false);
      tensor_ = {};
      return slot_->value();
    }
  }
  return *value_;
}

DType to_dtype(const py::handle& object) {
  if (py::isinstance<DType>(object)) return object.cast<DType>();
  const py::object given = py::reinterpret_borrow<py::object>(object);
  const std::string name = py::isinstance<py::str>(object)
                               ? given.cast<std::string>()
                               : py::str(py::dtype::from_args(given)).cast<std::string>();
  if (const auto dtype = parse_dtype(name)) return *dtype;
  if (name == "boolean") return DType::boolean;
  for (DType dtype : kAllDTypes) {
    if (name == kNumpyNames[static_cast<size_t>(dtype)]) return dtype;
  }
  throw UserError(
      fmt::format("[dtype] no dtype is called '{}'. hint: they are bool, i8, u8, i16, i32, "
                  "i64, u32, u64, f16, bf16, f32, f64",
                  name));
}

Array to_array(const py::array& array) {
  const DType dtype = to_dtype(array.dtype());
  const py::array whole = py::module_::import("numpy").attr("ascontiguousarray")(array);
  std::vector<int64_t> shape(array.shape(), array.shape() + array.ndim());
  Array result = Array::empty(dtype, std::move(shape));
  if (result.bytes() > 0) std::memcpy(result.buffer->data(), whole.data(), result.bytes());
  return result;
}

py::array to_numpy(const Array& array) {
  py::array result(numpy_dtype(array.dtype), array.shape);
  if (array.bytes() > 0) std::memcpy(result.mutable_data(), array.buffer->data(), array.bytes());
  return result;
}

LazyTensor to_tensor(const py::handle& object) {
  if (py::isinstance<LazyTensor>(object)) return object.cast<LazyTensor>();
  const bool plain = py::isinstance<py::float_>(object) || py::isinstance<py::list>(object);
  py::array array = py::module_::import("numpy").attr("asarray")(object);
  // Python's floats are f32 here; numpy's own f64 arrays stay f64.
  if (plain && array.dtype().kind() == 'f') array = array.attr("astype")("float32");
  return LazyTensor(new_slot(to_array(array), false));
}

void note_source_line() {
  PyFrameObject* frame = PyEval_GetFrame();
  if (!frame) return;
  const py::object current = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(frame));
  py::object at = current;
  const std::string package = "/plait/";
  for (int depth = 0; depth < 8 && !at.is_none(); ++depth) {
    const auto file = at.attr("f_code").attr("co_filename").cast<std::string>();
    if (file.find(package) == std::string::npos) {
      set_source_line(file, at.attr("f_lineno").cast<int>());
      return;
    }
    at = at.attr("f_back");
  }
}

namespace {

// The gradient of `loss` by each of the tensors, which must be slots.
std::vector<LazyTensor> gradients_by(const LazyTensor& loss, const std::vector<LazyTensor>& wrt) {
  const Tensor value = loss.in_graph();
  Graph& graph = *value.graph();
  std::vector<Value> values;
  for (const LazyTensor& tensor : wrt) {
    PLAIT_CHECK(tensor.slot() != nullptr, "grad",
                "gradients are by parameters and tensors made from data; got a computed tensor");
    values.push_back(meta::parameter(graph, tensor.slot()));
  }
  std::vector<LazyTensor> result;
  for (Value v : gradients(graph, value.value(), values)) {
    result.emplace_back(Tensor(value.graph(), v));
  }
  return result;
}

}  // namespace

void bind_tensors(py::module_& module) {
  py::enum_<DType> dtypes(module, "DType");
  for (DType dtype : kAllDTypes) {
    dtypes.value(dtype == DType::boolean ? "boolean" : dtype_name(dtype), dtype);
  }
  dtypes.def("__str__", [](DType dtype) { return dtype_name(dtype); });
  py::class_<LazyTensor>(module, "Tensor")
      .def_property_readonly("dtype", [](const LazyTensor& t) { return t.type().dtype; })
      .def_property_readonly("shape",
                             [](const LazyTensor& t) {
                               py::list shape;
                               for (Expr e : t.type().shape) {
                                 if (const auto n = e.constant()) {
                                   shape.append(*n);
                                 } else {
                                   shape.append(to_string(e));
                                 }
                               }
                               return py::tuple(shape);
                             })
      .def("numpy", [](LazyTensor& t) { return to_numpy(t.value()); })
      .def("item", [](LazyTensor& t) -> py::object { return to_numpy(t.value()).attr("item")(); })
      .def("_set",
           [](LazyTensor& t, const py::array& value) {
             PLAIT_CHECK(t.slot() != nullptr, "set",
                         "only parameters and tensors made from data hold "
                         "memory; got a computed tensor");
             t.slot()->set(to_array(value));
           })
      .def_property_readonly("requires_grad",
                             [](const LazyTensor& t) {
                               return t.slot() ? t.slot()->trainable()
                                               : leads_from_trainable(t.in_graph());
                             })
      .def_property_readonly("_is_slot", [](const LazyTensor& t) { return t.slot() != nullptr; })
      .def_property_readonly(
          "name", [](const LazyTensor& t) { return t.slot() ? t.slot()->name() : std::string(); });
  module.def(
      "tensor",
      [](const py::object& data, const py::object& dtype, bool requires_grad) {
        LazyTensor tensor = to_tensor(data);
        Array value = tensor.value().clone();
        if (!dtype.is_none() && to_dtype(dtype) != value.dtype) {
          value = evaluate({detail::cast_to(tensor.in_graph(), to_dtype(dtype))})[0];
        }
        PLAIT_CHECK(!requires_grad || is_float(value.dtype), "tensor",
                    "only floats have gradients; got {}", to_string(value.type()));
        return LazyTensor(new_slot(std::move(value), requires_grad));
      },
      py::arg("data"), py::arg("dtype") = py::none(), py::arg("requires_grad") = false);
  module.def("input", [](const std::string& name, const py::object& dtype,
                         const std::vector<int64_t>& shape) {
    Shape sizes(shape.begin(), shape.end());
    return LazyTensor(input(name, to_dtype(dtype), std::move(sizes)));
  });
  module.def("gradients", &gradients_by);
  module.def("evaluate", [](const std::vector<LazyTensor>& tensors) {
    std::vector<Tensor> values;
    for (const LazyTensor& t : tensors) values.push_back(t.in_graph());
    std::vector<py::array> results;
    for (const Array& array : evaluate(values)) results.push_back(to_numpy(array));
    return results;
  });
  module.def("clear_cache", [] { programs().clear(); });
  module.def("cached_programs", [] { return programs().size(); });
  module.def("manual_seed", &manual_seed);
  module.def("live_bytes", [] { return Buffer::live_bytes(); });
}

}  // namespace plait::python
