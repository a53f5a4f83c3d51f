// What the parts of the module share. pybind11 appears in this folder alone.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <vector>

#include "core/slot.h"
#include "ops/tensor.h"

namespace plait::python {

namespace py = pybind11;

// A tensor of Python: either a value of a graph that runs when somebody looks at it, or memory (a
// slot) that enters a graph whenever an op uses it.
class LazyTensor {
 public:
  explicit LazyTensor(Tensor tensor) : tensor_(std::move(tensor)) {}
  explicit LazyTensor(std::shared_ptr<Slot> slot) : slot_(std::move(slot)) {}

  const std::shared_ptr<Slot>& slot() const { return slot_; }
  // The tensor for use in an op.
  Tensor in_graph() const { return slot_ ? parameter(slot_) : tensor_; }
  const Type& type() const { return slot_ ? slot_->type() : tensor_.type(); }
  // Runs its graph unless it has run; a result that no trainable slot led to becomes memory.
  const Array& value();

 private:
  Tensor tensor_;
  std::shared_ptr<Slot> slot_;
  std::optional<Array> value_;
};

// Runs what the tensors need; programs are kept by graph, so equal graphs compile once.
std::vector<Array> evaluate(const std::vector<Tensor>& tensors);

// numpy -> Plait copies; any strides. Plait -> numpy shares nothing either.
Array to_array(const py::array& array);
py::array to_numpy(const Array& array);
DType to_dtype(const py::handle& object);  // a plait dtype, its name, or a numpy dtype
// A tensor, or whatever numpy makes an array of.
LazyTensor to_tensor(const py::handle& object);

// Remembers the caller's line for the nodes that are about to be added.
void note_source_line();

void bind_tensors(py::module_& module);
void bind_ops(py::module_& module);
void bind_programs(py::module_& module);
void bind_models(py::module_& module);

}  // namespace plait::python
