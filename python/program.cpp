// Programs and their kernels, symbolic sizes, options.
#include "jit/program.h"

#include "core/error.h"
#include "core/index/simplify.h"
#include "jit/compile.h"
#include "python/bindings.h"

namespace plait::python {
namespace {

Stage to_stage(const std::string& name) {
  if (name == "kernel_ir") return Stage::kernel_ir;
  if (name == "llvm") return Stage::llvm;
  if (name == "asm") return Stage::assembly;
  throw UserError(
      fmt::format("[source] no stage is called '{}'. hint: they are kernel_ir, llvm, asm", name));
}

bool decided(std::optional<bool> value, const char* op, Expr a, Expr b) {
  PLAIT_CHECK(value.has_value(), "size", "symbolic sizes can't be compared: {} {} {}", to_string(a),
              op, to_string(b));
  return *value;
}

void bind_sizes(py::module_& module) {
  const auto binary = [](auto f) {
    return [f](Expr a, const py::object& b) { return py::cast(f(a, to_size(b))); };
  };
  const auto reflected = [](auto f) {
    return [f](Expr a, const py::object& b) { return py::cast(f(to_size(b), a)); };
  };
  const auto sum = [](Expr a, Expr b) { return a + b; };
  const auto difference = [](Expr a, Expr b) { return a - b; };
  const auto times = [](Expr a, Expr b) { return a * b; };
  const auto divide = [](Expr a, Expr b) { return floor_div(a, b); };
  const auto rest = [](Expr a, Expr b) { return mod(a, b); };
  py::class_<Expr>(module, "Dim", "A size that is known when a compiled function runs.")
      .def("__add__", binary(sum))
      .def("__radd__", reflected(sum))
      .def("__sub__", binary(difference))
      .def("__rsub__", reflected(difference))
      .def("__mul__", binary(times))
      .def("__rmul__", reflected(times))
      .def("__floordiv__", binary(divide))
      .def("__mod__", binary(rest))
      .def("__eq__",
           [](Expr a, const py::object& other) {
             const Expr b = to_size(other);
             return decided(prove_equal(a, b, {}), "==", a, b);
           })
      .def("__lt__",
           [](Expr a, const py::object& other) {
             const Expr b = to_size(other);
             return decided(prove_less(a, b, {}), "<", a, b);
           })
      .def("__gt__",
           [](Expr a, const py::object& other) {
             const Expr b = to_size(other);
             return decided(prove_less(b, a, {}), ">", a, b);
           })
      .def("__le__",
           [](Expr a, const py::object& other) {
             const Expr b = to_size(other);
             return decided(prove_less(a, b + 1, {}), "<=", a, b);
           })
      .def("__ge__",
           [](Expr a, const py::object& other) {
             const Expr b = to_size(other);
             return decided(prove_less(b, a + 1, {}), ">=", a, b);
           })
      .def("__hash__", [](Expr e) { return e.hash(); })
      .def("__repr__", [](Expr e) { return to_string(e); });
  module.def("dim", &dim, py::arg("name"), py::arg("lo"), py::arg("hi"), py::arg("multiple") = 1);
}

void bind_options(py::module_& module) {
  module.def("set_option", [](const std::string& name, const std::string& value) {
    Options::global().set(name, value);
  });
  module.def("get_option", [](const std::string& name) { return Options::global().get(name); });
  module.def("options_key", [] {
    const Options& options = Options::global();
    return fmt::format("{} {} {} {}", options.threads, options.dump, options.cache_dir,
                       options.key());
  });
  module.def("option_list", [] {
    std::vector<std::tuple<std::string, std::string, std::string>> list;
    for (const OptionInfo& option : option_list()) {
      list.emplace_back(option.name, option.initial, option.doc);
    }
    return list;
  });
}

void bind_memory_report(py::module_& module) {
  py::class_<BufferUse>(module, "BufferUse")
      .def_property_readonly("role", [](const BufferUse& use) { return name_of(use.role); })
      .def_readonly("what", &BufferUse::what)
      .def_readonly("type", &BufferUse::type)
      .def_readonly("bytes", &BufferUse::bytes)
      .def_readonly("first", &BufferUse::first, "The first launch that needs it.")
      .def_readonly("last", &BufferUse::last, "The last launch that needs it.")
      .def_readonly("scope", &BufferUse::scope)
      .def_readonly("file", &BufferUse::file)
      .def_readonly("line", &BufferUse::line);
  py::class_<MemoryReport>(module, "MemoryReport")
      .def_readonly("peak_bytes", &MemoryReport::peak_bytes)
      .def_readonly("launch", &MemoryReport::launch, "The launch at which most is alive.")
      .def_readonly("kernel", &MemoryReport::kernel, "The name of its kernel.")
      .def_readonly("buffers", &MemoryReport::buffers)
      .def("at_peak", &MemoryReport::at_peak, "The buffers alive then, the largest first.")
      .def("__str__", [](const MemoryReport& report) { return to_text(report); });
}

}  // namespace

void bind_programs(py::module_& module) {
  bind_sizes(module);
  bind_options(module);
  py::class_<KernelInfo, std::shared_ptr<KernelInfo>>(module, "Kernel")
      .def_property_readonly("name", [](const KernelInfo& kernel) { return kernel.name(); })
      .def_property_readonly("scopes", [](const KernelInfo& kernel) { return kernel.scopes(); })
      .def_property_readonly("launches", &KernelInfo::launches)
      .def(
          "source",
          [](const KernelInfo& kernel, const std::string& stage) {
            return kernel.print(to_stage(stage));
          },
          py::arg("stage") = "kernel_ir")
      .def("__repr__",
           [](const KernelInfo& kernel) { return fmt::format("<kernel {}>", kernel.name()); });
  bind_memory_report(module);
  py::class_<Program>(module, "Program")
      .def_property_readonly("kernels", [](const Program& program) { return program.kernels(); })
      .def_property_readonly("launches", &Program::launches)
      .def_property_readonly("input_names", &Program::input_names)
      .def("peak_bytes", &Program::peak_bytes,
           "Bytes of intermediates, workspaces and fresh slot values that the last sizes take.")
      .def("memory_report", &Program::memory_report,
           "The buffers behind peak_bytes: sizes, lifetimes, and the lines that made them.")
      .def("__str__", &Program::debug_string);
  module.def("compile_count", [] {
    const CompileCount count = compile_count();
    py::dict result;
    result["programs"] = count.programs;
    result["kernels"] = count.kernels;
    result["kernels_cached"] = count.kernels_cached;
    result["reasons"] = count.reasons;
    return result;
  });
}

}  // namespace plait::python
