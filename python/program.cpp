// Captured functions, programs and their kernels, options.
#include "jit/program.h"

#include "core/error.h"
#include "core/index/simplify.h"
#include "jit/compile.h"
#include "python/bindings.h"
#include "python/lazy/capture.h"
#include "python/lazy/evaluate.h"

namespace plait::python {

std::shared_ptr<optim::Optimizer> to_optimizer(const py::object& object);  // optim.cpp

namespace {

using lazy::Capture;
using lazy::Ref;

Stage to_stage(const std::string& name) {
  if (name == "kernel_ir") return Stage::kernel_ir;
  if (name == "llvm") return Stage::llvm;
  if (name == "asm") return Stage::assembly;
  throw UserError(
      fmt::format("[source] no stage is called '{}'. hint: they are kernel_ir, llvm, asm", name));
}

// What a run reads: memory of tensors and of arrays as it is where that is possible. The caller
// holds the object until the run ends.
Array borrowed(const py::handle& object) {
  static const std::shared_ptr<void> nobody = std::make_shared<int>(0);
  if (py::isinstance<LazyTensor>(object)) return lazy::array_of(object.cast<LazyTensor>().value());
  if (py::isinstance<py::array>(object)) {
    const auto array = py::reinterpret_borrow<py::array>(object);
    const DType dtype = to_dtype(array.dtype());
    const auto address = reinterpret_cast<uintptr_t>(array.data());
    const bool plain = (array.flags() & py::array::c_style) != 0 &&
                       array.dtype().attr("isnative").cast<bool>() &&
                       address % dtype_size(dtype) == 0;
    if (plain) {
      std::vector<int64_t> shape(array.shape(), array.shape() + array.ndim());
      void* data = const_cast<void*>(array.data());
      return {dtype, std::move(shape),
              Buffer::foreign(data, static_cast<size_t>(array.nbytes()), nobody)};
    }
  }
  return lazy::array_of(to_tensor(object).value());
}

std::vector<Array> run_program(Program& program, const std::map<std::string, Array>& inputs) {
  std::vector<Array> results;
  lazy::run_unlocked([&] { results = program.run(inputs); });
  return results;
}

constexpr const char* kThroughCompiled =
    "gradients do not pass through a function of plait.compile. hint: take them inside it "
    "(plait.grad), give compile the optimizer, or call it under no_grad";

// A captured function, compiled.
class CapturedProgram {
 public:
  CapturedProgram(lazy::Captured captured, const Capture& capture, std::vector<bool> used,
                  std::vector<size_t> written, std::vector<bool> differentiable)
      : program_(std::move(captured.program)),
        results_(captured.results),
        used_(std::move(used)),
        written_(std::move(written)),
        differentiable_(std::move(differentiable)) {
    for (const Capture::External& external : capture.externals()) {
      if (external.cell->slot()) continue;
      const std::string& name = external.input.node->name;
      const bool is_read =
          std::find(captured.used.begin(), captured.used.end(), name) != captured.used.end();
      externals_.push_back({external.cell, name, is_read, external.written()});
    }
  }

  const Program& program() const { return program_; }

  // With the arguments of the captured function's placeholders, in order.
  std::vector<LazyTensor> run(const py::list& arguments) {
    note_line();
    std::map<std::string, Array> inputs;
    for (size_t i = 0; i < used_.size(); ++i) {
      if (used_[i]) inputs.emplace("arg" + std::to_string(i), borrowed(arguments[i]));
    }
    for (const External& external : externals_) {
      if (external.is_read) {
        inputs.emplace(external.name, lazy::array_of(external.cell->value()));
      }
    }
    std::vector<Array> outputs = run_program(program_, inputs);
    size_t next = results_;
    for (const External& external : externals_) {
      if (external.is_written) external.cell->set_value(lazy::array_node(outputs[next++]));
    }
    std::vector<LazyTensor> results;
    const size_t first = results_ - written_.size();
    for (size_t i = 0; i < first; ++i) {
      const Ref ref = lazy::array_node(outputs[i]);
      if (differentiable_[i] && lazy::grad_enabled()) {
        ref.node->requires_grad = true;
        ref.node->cut = kThroughCompiled;
      }
      results.emplace_back(ref);
    }
    // The new values of arguments are the last results.
    for (size_t i = 0; i < written_.size(); ++i) {
      if (!py::isinstance<LazyTensor>(arguments[written_[i]])) continue;
      auto& argument = arguments[written_[i]].cast<LazyTensor&>();
      argument.write(lazy::array_node(outputs[first + i]));
    }
    return results;
  }

 private:
  struct External {
    std::shared_ptr<lazy::Cell> cell;
    std::string name;
    bool is_read, is_written;
  };
  Program program_;
  size_t results_;
  std::vector<bool> used_;            // by argument
  std::vector<size_t> written_;       // arguments written in place
  std::vector<bool> differentiable_;  // by result
  std::vector<External> externals_;   // without slots
};

// A function while plait.compile calls it.
class CaptureScope {
 public:
  CaptureScope() : capture_(std::make_unique<Capture>()) {}

  LazyTensor placeholder(const py::object& dtype, const py::sequence& shape, bool requires_grad) {
    Shape sizes;
    for (const py::object size : shape) sizes.push_back(to_size(size));
    const Ref ref = lazy::placeholder_node("arg" + std::to_string(arguments_.size()),
                                           {to_dtype(dtype), std::move(sizes)});
    ref.node->requires_grad = requires_grad;
    given_.push_back(ref);
    arguments_.emplace_back(ref);
    return arguments_.back();
  }

  void end() { capture_->end(); }

  CapturedProgram compile(const std::vector<LazyTensor>& results, const py::object& optimizer) {
    std::vector<Ref> refs;
    std::vector<bool> differentiable;
    const bool is_step = !optimizer.is_none();
    for (const LazyTensor& result : results) {
      refs.push_back(result.value());
      differentiable.push_back(!is_step && refs.back().node->requires_grad);
    }
    std::vector<size_t> written;
    for (size_t i = 0; i < arguments_.size(); ++i) {
      const Ref now = arguments_[i].value();
      if (now == given_[i]) continue;
      written.push_back(i);
      refs.push_back(now);
    }
    end();
    PLAIT_CHECK(!refs.empty(), "compile", "the function returns no tensor and writes none");
    lazy::Captured captured =
        lazy::compile_captured(refs, *capture_, to_optimizer(optimizer), Options::global());
    const std::vector<std::string> names = captured.used;
    std::vector<bool> used;
    for (const Ref& ref : given_) {
      used.push_back(std::find(names.begin(), names.end(), ref.node->name) != names.end());
    }
    return CapturedProgram(std::move(captured), *capture_, std::move(used), std::move(written),
                           std::move(differentiable));
  }

 private:
  std::unique_ptr<Capture> capture_;
  std::vector<Ref> given_;
  std::vector<LazyTensor> arguments_;
};

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
  py::class_<Program>(module, "Program")
      .def_property_readonly("kernels", [](const Program& program) { return program.kernels(); })
      .def_property_readonly("launches", &Program::launches)
      .def_property_readonly("input_names", &Program::input_names)
      .def("peak_bytes", &Program::peak_bytes,
           "Bytes of intermediates, workspaces and fresh slot values that the last sizes take.")
      .def("__str__", &Program::debug_string);
  py::class_<CapturedProgram>(module, "CapturedProgram")
      .def("run", &CapturedProgram::run)
      .def_property_readonly("program", &CapturedProgram::program);
  py::class_<CaptureScope>(module, "CaptureScope")
      .def(py::init<>())
      .def("placeholder", &CaptureScope::placeholder)
      .def("compile", &CaptureScope::compile)
      .def("end", &CaptureScope::end);
  module.def("capturing", [] { return Capture::current() != nullptr; });
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
