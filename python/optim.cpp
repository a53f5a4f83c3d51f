// Optimizers: those of ops/optim over the slots of Python's parameters.
#include "core/error.h"
#include "ops/checkpoint.h"
#include "ops/optim/adamw.h"
#include "ops/optim/sgd.h"
#include "python/bindings.h"
#include "python/lazy/evaluate.h"

namespace plait::python {
namespace {

using optim::Optimizer;

// An optimizer, and the parameters whose `.grad` its step() reads.
struct PyOptimizer {
  std::shared_ptr<Optimizer> optimizer;
  std::vector<std::shared_ptr<lazy::Cell>> cells;  // in the optimizer's order
  std::shared_ptr<lazy::StepPrograms> programs = lazy::make_step_programs();

  void step() const {
    note_line();
    std::vector<lazy::Ref> gradients;
    for (const auto& cell : cells) {
      gradients.push_back(cell->grad() ? cell->grad()->value() : lazy::Ref());
    }
    lazy::step(optimizer, std::move(gradients), *programs);
  }
  void zero_grad() const {
    for (const auto& cell : cells) cell->set_grad({});
  }
};

struct PyGroup {
  std::vector<LazyTensor> parameters;
  std::optional<double> lr, weight_decay;
};

std::vector<optim::Group> groups_of(const std::vector<PyGroup>& groups, PyOptimizer& result) {
  std::vector<optim::Group> list;
  for (const PyGroup& group : groups) {
    optim::Group& added = list.emplace_back();
    added.lr = group.lr;
    added.weight_decay = group.weight_decay;
    for (const LazyTensor& parameter : group.parameters) {
      PLAIT_CHECK(parameter.cell()->slot() && !parameter.is_view(), "optimizer",
                  "parameters are made by nn.Parameter; got a tensor: {}",
                  to_string(parameter.type()));
      added.parameters.push_back(parameter.cell()->slot());
      result.cells.push_back(parameter.cell());
    }
  }
  return list;
}

// A function of Python as a schedule, which C++ calls wherever it is and may let go of anywhere.
class PySchedule {
 public:
  explicit PySchedule(py::function function) : function_(std::move(function)) {}
  ~PySchedule() {
    if (!Py_IsInitialized()) {
      function_.release();
      return;
    }
    const py::gil_scoped_acquire acquire;
    function_ = py::function();
  }
  double operator()(int64_t step) const {
    const py::gil_scoped_acquire acquire;
    return function_(step).cast<double>();
  }

 private:
  py::function function_;
};

optim::Schedule to_schedule(const py::object& schedule) {
  if (schedule.is_none()) return optim::constant();
  if (py::isinstance<optim::Schedule>(schedule)) return schedule.cast<optim::Schedule>();
  PLAIT_CHECK(PyCallable_Check(schedule.ptr()), "optimizer",
              "a schedule is a function of the number of updates made; got {}",
              py::repr(schedule).cast<std::string>());
  const auto held = std::make_shared<PySchedule>(schedule.cast<py::function>());
  return [held](int64_t step) { return (*held)(step); };
}

template <class Kind, class Make>
PyOptimizer make(const std::vector<PyGroup>& groups, const Make& options) {
  PyOptimizer result;
  std::vector<optim::Group> list = groups_of(groups, result);
  result.optimizer = std::make_shared<Kind>(std::move(list), options);
  return result;
}

template <class Options>
Options adam_options(double lr, std::pair<double, double> betas, double eps, double weight_decay,
                     int64_t decay_min_rank, std::optional<double> clip_norm,
                     const py::object& schedule) {
  return {.lr = lr,
          .beta1 = betas.first,
          .beta2 = betas.second,
          .eps = eps,
          .weight_decay = weight_decay,
          .decay_min_rank = decay_min_rank,
          .clip_norm = clip_norm,
          .schedule = to_schedule(schedule)};
}

template <class Kind, class KindOptions>
void bind_adam(py::module_& module, const char* name) {
  module.def(
      name, [](const std::vector<PyGroup>& groups, double lr, std::pair<double, double> betas,
               double eps, double weight_decay, int64_t decay_min_rank,
               std::optional<double> clip_norm, const py::object& schedule) {
        return make<Kind>(groups, adam_options<KindOptions>(lr, betas, eps, weight_decay,
                                                            decay_min_rank, clip_norm, schedule));
      });
}

}  // namespace

std::shared_ptr<Optimizer> to_optimizer(const py::object& object) {
  if (object.is_none()) return nullptr;
  const py::object core = py::hasattr(object, "_core") ? object.attr("_core") : object;
  PLAIT_CHECK(py::isinstance<PyOptimizer>(core), "compile",
              "`optimizer` is one of plait.optim; got {}", py::repr(object).cast<std::string>());
  return core.cast<PyOptimizer>().optimizer;
}

void bind_optimizers(py::module_& module) {
  py::class_<PyGroup>(module, "ParameterGroup")
      .def(py::init([](std::vector<LazyTensor> parameters, std::optional<double> lr,
                       std::optional<double> weight_decay) {
             return PyGroup{std::move(parameters), lr, weight_decay};
           }),
           py::arg("params"), py::arg("lr") = py::none(), py::arg("weight_decay") = py::none());
  py::class_<optim::Schedule>(module, "Schedule")
      .def("__call__",
           [](const optim::Schedule& schedule, int64_t step) { return schedule(step); });
  module.def("constant", &optim::constant);
  module.def("warmup", &optim::warmup, py::arg("steps"));
  module.def("warmup_cosine", &optim::warmup_cosine, py::arg("warmup_steps"),
             py::arg("total_steps"), py::arg("final_fraction"));

  py::class_<PyOptimizer>(module, "Optimizer")
      .def("step", &PyOptimizer::step)
      .def("zero_grad", &PyOptimizer::zero_grad)
      .def_property(
          "lr", [](const PyOptimizer& o) { return o.optimizer->lr(); },
          [](const PyOptimizer& o, double lr) { o.optimizer->set_lr(lr); })
      .def("set_schedule",
           [](const PyOptimizer& o, const py::object& schedule) {
             o.optimizer->set_schedule(to_schedule(schedule));
           })
      .def_property_readonly("steps", [](const PyOptimizer& o) { return o.optimizer->step(); })
      .def_property_readonly("grad_norm",
                             [](const PyOptimizer& o) { return o.optimizer->grad_norm(); })
      .def("state", [](const PyOptimizer& o) {
        std::vector<std::pair<std::string, LazyTensor>> result;
        for (const NamedSlot& named : o.optimizer->state()) {
          result.emplace_back(named.name, LazyTensor(std::make_shared<lazy::Cell>(named.slot)));
        }
        return result;
      });
  bind_adam<optim::AdamW, optim::AdamWOptions>(module, "adamw");
  bind_adam<optim::Adam, optim::AdamOptions>(module, "adam");
  module.def("sgd", [](const std::vector<PyGroup>& groups, double lr, double momentum,
                       bool nesterov, double weight_decay, int64_t decay_min_rank,
                       std::optional<double> clip_norm, const py::object& schedule) {
    return make<optim::SGD>(groups, optim::SGDOptions{.lr = lr,
                                                      .momentum = momentum,
                                                      .nesterov = nesterov,
                                                      .weight_decay = weight_decay,
                                                      .decay_min_rank = decay_min_rank,
                                                      .clip_norm = clip_norm,
                                                      .schedule = to_schedule(schedule)});
  });
}

}  // namespace plait::python
