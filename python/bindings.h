// What the parts of the module share. pybind11 appears in this folder alone.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <vector>

#include "python/lazy/tensor.h"

namespace plait::python {

namespace py = pybind11;
using lazy::LazyTensor;

// numpy -> Plait copies, whatever the strides and byte order.
Array to_array(const py::array& array);
// Shares the memory of a row-major array and marks the array read-only. UserError if it can't.
Array share_array(py::array array);
py::array to_numpy(const Array& array);    // a copy
py::array view_numpy(const Array& array);  // read-only, shares memory
py::object to_python(const Array& array);  // of one element: bool, int or float
DType to_dtype(const py::handle& object);  // a plait dtype, its name, or a numpy dtype
py::tuple to_shape(const Shape& shape);    // numbers, and Dims for symbols

// A tensor as it is; memory from anything that numpy makes an array of. Python's floats are f32
// here, and numpy's dtypes stay.
LazyTensor to_tensor(const py::handle& object);
// An int, an index-like object or a symbolic size. UserError names `what`.
Expr to_size(const py::handle& object);

// Remembers the caller's line: the first frame outside the package.
void note_line();
void set_package_folder(std::string folder);

void bind_tensors(py::module_& module);
void bind_dlpack(py::module_& module);
void bind_ops(py::module_& module);
void bind_programs(py::module_& module);
void bind_captured(py::module_& module);
void bind_optimizers(py::module_& module);
void bind_data(py::module_& module);

}  // namespace plait::python
