#include "core/error.h"
#include "python/bindings.h"

namespace py = pybind11;

PYBIND11_MODULE(_core, module) {
  module.attr("__version__") = PLAIT_VERSION;
  py::register_exception<plait::UserError>(module, "UserError", PyExc_ValueError);
  py::register_exception<plait::DeviceError>(module, "DeviceError", PyExc_RuntimeError);
  py::register_exception<plait::InternalError>(module, "InternalError", PyExc_RuntimeError);
  plait::python::bind_tensors(module);
  plait::python::bind_ops(module);
  plait::python::bind_programs(module);
  plait::python::bind_models(module);
}
