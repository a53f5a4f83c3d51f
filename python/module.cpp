// The module plait._core.
#include <pybind11/pybind11.h>

#include "core/error.h"
#include "core/interrupt.h"
#include "python/bindings.h"
#include "python/lazy/evaluate.h"

namespace {

namespace py = pybind11;

void check_signals() {
  const py::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

// The core's work without Python's lock; Ctrl-C ends it.
void without_lock(const std::function<void()>& f) {
  const py::gil_scoped_release release;
  const plait::InterruptCheck check(check_signals);
  f();
}

}  // namespace

PYBIND11_MODULE(_core, module) {
  module.attr("__version__") = PLAIT_VERSION;
  py::register_exception<plait::UserError>(module, "UserError", PyExc_ValueError);
  py::register_exception<plait::DeviceError>(module, "DeviceError", PyExc_RuntimeError);
  py::register_exception<plait::InternalError>(module, "InternalError", PyExc_RuntimeError);
  plait::lazy::set_unlocked(without_lock);
  module.def(
      "in_scope",
      [](const std::string& name, const py::object& f, const py::args& args,
         const py::kwargs& kwargs) {
        const plait::Scope scope(name);
        return f(*args, **kwargs);
      },
      "f(*args, **kwargs), whose nodes and kernels are named under `name`.");
  plait::python::bind_tensors(module);
  plait::python::bind_dlpack(module);
  plait::python::bind_ops(module);
  plait::python::bind_programs(module);
  plait::python::bind_captured(module);
  plait::python::bind_optimizers(module);
  plait::python::bind_data(module);
}
