#include "core/error.h"
#include "jit/compile.h"
#include "ops/checkpoint.h"
#include "ops/optim/adamw.h"
#include "ops/optim/sgd.h"
#include "python/bindings.h"

namespace plait::python {
namespace {

std::vector<std::shared_ptr<Slot>> slots_of(const std::vector<LazyTensor>& parameters) {
  std::vector<std::shared_ptr<Slot>> slots;
  for (const LazyTensor& parameter : parameters) slots.push_back(parameter.slot());
  return slots;
}

Stage to_stage(const std::string& name) {
  if (name == "kernel_ir") return Stage::kernel_ir;
  if (name == "llvm") return Stage::llvm;
  if (name == "asm") return Stage::assembly;
  throw UserError(
      fmt::format("[source] no stage is called '{}'. hint: they are kernel_ir, llvm, asm", name));
}

std::vector<py::array> run(Program& program, const std::map<std::string, py::array>& inputs) {
  std::map<std::string, Array> arrays;
  for (const auto& [name, array] : inputs) arrays.emplace(name, to_array(array));
  std::vector<Array> results;
  {
    py::gil_scoped_release release;
    results = program.run(arrays);
  }
  std::vector<py::array> list;
  for (const Array& array : results) list.push_back(to_numpy(array));
  return list;
}

optim::Schedule schedule_of(const py::object& schedule) {
  if (schedule.is_none()) return optim::constant();
  if (py::isinstance<py::tuple>(schedule)) {
    const auto [warmup, total, final] = schedule.cast<std::tuple<int64_t, int64_t, double>>();
    return optim::warmup_cosine(warmup, total, final);
  }
  return [schedule](int64_t step) {
    py::gil_scoped_acquire acquire;
    return schedule(step).cast<double>();
  };
}

}  // namespace

void bind_programs(py::module_& module) {
  py::class_<KernelInfo, std::shared_ptr<KernelInfo>>(module, "Kernel")
      .def_property_readonly("name", [](const KernelInfo& kernel) { return kernel.name(); })
      .def_property_readonly("scopes", &KernelInfo::scopes)
      .def(
          "source",
          [](const KernelInfo& kernel, const std::string& stage) {
            return kernel.print(to_stage(stage));
          },
          py::arg("stage") = "kernel_ir");
  py::class_<Program>(module, "Program")
      .def("run", &run)
      .def_property_readonly("kernels", [](const Program& program) { return program.kernels(); })
      .def_property_readonly("launches", &Program::launches)
      .def_property_readonly("input_names", &Program::input_names)
      .def("peak_bytes", &Program::peak_bytes)
      .def("__str__", &Program::debug_string);
  py::class_<optim::Optimizer, std::shared_ptr<optim::Optimizer>>(module, "Optimizer")
      .def_property("lr", py::overload_cast<>(&optim::Optimizer::lr, py::const_),
                    &optim::Optimizer::set_lr)
      .def_property_readonly("steps", &optim::Optimizer::step)
      .def_property_readonly("grad_norm", &optim::Optimizer::grad_norm);
  module.def(
      "adamw",
      [](const std::vector<LazyTensor>& parameters, double lr, double beta1, double beta2,
         double eps, double weight_decay, int64_t decay_min_rank, std::optional<double> clip_norm,
         const py::object& schedule) -> std::shared_ptr<optim::Optimizer> {
        return std::make_shared<optim::AdamW>(
            slots_of(parameters), optim::AdamWOptions{.lr = lr,
                                                      .beta1 = beta1,
                                                      .beta2 = beta2,
                                                      .eps = eps,
                                                      .weight_decay = weight_decay,
                                                      .decay_min_rank = decay_min_rank,
                                                      .clip_norm = clip_norm,
                                                      .schedule = schedule_of(schedule)});
      });
  module.def("sgd",
             [](const std::vector<LazyTensor>& parameters, double lr, double momentum,
                double weight_decay, std::optional<double> clip_norm,
                const py::object& schedule) -> std::shared_ptr<optim::Optimizer> {
               return std::make_shared<optim::SGD>(
                   slots_of(parameters), optim::SGDOptions{.lr = lr,
                                                           .momentum = momentum,
                                                           .weight_decay = weight_decay,
                                                           .clip_norm = clip_norm,
                                                           .schedule = schedule_of(schedule)});
             });
  module.def(
      "compile",
      [](const std::vector<LazyTensor>& outputs, std::shared_ptr<optim::Optimizer> optimizer) {
        std::vector<Tensor> tensors;
        for (const LazyTensor& output : outputs) tensors.push_back(output.in_graph());
        py::gil_scoped_release release;
        return optimizer ? compile(tensors, optimizer) : compile(tensors);
      },
      py::arg("outputs"), py::arg("optimizer") = nullptr);
  module.def("compile_count", [] {
    const CompileCount count = compile_count();
    py::dict result;
    result["programs"] = count.programs;
    result["kernels"] = count.kernels;
    result["kernels_cached"] = count.kernels_cached;
    result["reasons"] = count.reasons;
    return result;
  });
  module.def("set_option", [](const std::string& name, const std::string& value) {
    Options::global().set(name, value);
  });
  module.def("get_option", [](const std::string& name) { return Options::global().get(name); });
}

}  // namespace plait::python
