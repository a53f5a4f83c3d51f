// Functions that plait.compile captures, and their programs.
#include <algorithm>
#include <utility>

#include "core/error.h"
#include "jit/program.h"
#include "python/bindings.h"
#include "python/lazy/capture.h"
#include "python/lazy/evaluate.h"
#include "python/lazy/sharing.h"

namespace plait::python {

std::shared_ptr<optim::Optimizer> to_optimizer(const py::object& object);  // optim.cpp

namespace {

using lazy::Capture;
using lazy::Cell;
using lazy::Given;
using lazy::Ref;
using lazy::Sharing;

constexpr const char* kThroughCompiled =
    "gradients do not pass through a function of plait.compile. hint: take them inside it "
    "(plait.grad), give compile the optimizer, or call it under no_grad";

std::string argument_name(size_t number) { return "arg" + std::to_string(number); }

const LazyTensor* as_tensor(const py::handle& object) {
  return py::isinstance<LazyTensor>(object) ? &object.cast<const LazyTensor&>() : nullptr;
}

// What a run reads: memory of tensors and of arrays as it is where that is possible. The caller
// holds the object until the run ends.
Array borrowed(const py::handle& object) {
  static const std::shared_ptr<void> nobody = std::make_shared<int>(0);
  if (const LazyTensor* tensor = as_tensor(object)) return lazy::array_of(tensor->value());
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

// An array that a program gave, as a value.
Ref result_node(const Array& array, bool differentiable) {
  Ref ref = lazy::array_node(array);
  if (differentiable && lazy::grad_enabled()) {
    ref.node->requires_grad = true;
    ref.node->cut = kThroughCompiled;
  }
  return ref;
}

// What a captured function may do with an argument.
enum class GradKind : uint8_t { none, leaf, result };
GradKind grad_kind(const LazyTensor& tensor) {
  if (!tensor.value().node->requires_grad) return GradKind::none;
  return tensor.cell()->is_leaf() ? GradKind::leaf : GradKind::result;
}

// Whether gradients would pass through the value: not through what stays asked of gradients.
bool has_history(const Ref& ref) {
  const lazy::Node& node = *ref.node;
  const bool stays_leaf = node.kind == lazy::Kind::call && node.call->record->name() == "detach";
  return node.requires_grad && !stays_leaf;
}

// A cell that a run reads or writes: that of an argument (its whole, or what a view shows), or one
// of outside.
struct CellUse {
  std::shared_ptr<Cell> cell;  // null: of the argument
  std::optional<size_t> argument;
  bool whole;        // the argument's cell, not what the argument shows of it
  std::string name;  // of the program's input
  bool is_read = false, is_written = false;
  bool differentiable = false;  // what is written would have gradients
};

// Where a result comes from: it shares memory as it does where the function is not compiled.
struct Result {
  std::shared_ptr<Cell> cell;      // of outside
  std::optional<size_t> argument;  // whose cell it is
  bool below_view = false;         // the view is one of the argument, not of its cell
  std::optional<size_t> group;     // results that share a cell which the function made
  std::shared_ptr<const lazy::View> view;
  std::optional<size_t> output;  // of the program; without one it is read where it lies
  bool differentiable = false;
};

// A captured function, and its program once it is compiled.
class CapturedProgram {
 public:
  // While it is captured.
  LazyTensor argument(const py::object& given, const py::sequence& shape, Given kind) {
    const size_t number = given_.size();
    Shape sizes;
    for (const py::object size : shape) sizes.push_back(to_size(size));
    const DType dtype = to_dtype(given.attr("dtype"));
    given_.emplace_back();
    arguments_.emplace_back();
    symbolic_shapes_.push_back(sizes);
    if (kind == Given::placeholder) {
      given_.back() = lazy::placeholder_node(argument_name(number), {dtype, std::move(sizes)});
      if (const LazyTensor* tensor = as_tensor(given)) {
        given_.back().node->requires_grad = grad_kind(*tensor) != GradKind::none;
        given_.back().node->is_result = grad_kind(*tensor) == GradKind::result;
      }
      arguments_.back().emplace(given_.back());
      return *arguments_.back();
    }
    const LazyTensor& tensor = given.cast<const LazyTensor&>();
    if (kind == Given::outside) {
      held_.push_back(tensor.cell());
    } else {
      if (tensor.is_view()) sizes = tensor.cell()->type().shape;
      const Ref input = lazy::placeholder_node(argument_name(number), {dtype, std::move(sizes)});
      input.node->requires_grad = tensor.cell()->requires_grad();
      input.node->is_result = !tensor.cell()->is_leaf();
      capture_->bind(tensor.cell(), number, input);
    }
    return tensor;
  }

  void end() { capture_->end(); }

  // What the function gave. With an optimizer the first one is the loss.
  void set_results(const std::vector<LazyTensor>& results, const py::object& optimizer) {
    optimizer_ = to_optimizer(optimizer);
    std::set<const Slot*> trained;
    if (optimizer_) {
      for (const auto& slot : optimizer_->parameters()) trained.insert(slot.get());
    }
    for (const LazyTensor& result : results) note_result(result);
    note_groups(results);
    outputs_before_writes_ = outputs_.size();
    std::vector<bool> written;
    for (size_t i = 0; i < given_.size(); ++i) written.push_back(note_argument(i));
    bool writes_outside = false;
    for (const Capture::External& external : capture_->externals()) {
      writes_outside |= note_external(external);
    }
    need_an_output(results, writes_outside);
    end();
    memory_use_.emplace(std::move(written), *capture_, std::move(trained));
  }

  Sharing sharing(const py::list& arguments) const {
    std::vector<const LazyTensor*> tensors;
    for (const py::handle& argument : arguments) tensors.push_back(as_tensor(argument));
    return memory_use_->sharing(tensors);
  }

  void compile() {
    lazy::Captured captured =
        lazy::compile_captured(outputs_, *capture_, optimizer_, Options::global());
    for (CellUse& use : uses_) {
      use.is_read =
          std::find(captured.used.begin(), captured.used.end(), use.name) != captured.used.end();
    }
    program_ = std::move(captured.program);
    outputs_.clear();
    given_.clear();
    arguments_.clear();
    capture_.reset();
  }

  const Program& program() const { return *program_; }
  bool is_compiled() const { return program_.has_value(); }

  // With the arguments of the captured function, in order.
  std::vector<LazyTensor> run(const py::list& arguments) {
    note_line();
    std::map<std::string, Array> inputs;
    for (const CellUse& use : uses_) {
      if (use.is_read) inputs.emplace(use.name, read(use, arguments));
    }
    std::vector<Array> outputs;
    lazy::run_unlocked([&] { outputs = program_->run(inputs); });
    const bool views = std::any_of(results_.begin(), results_.end(), [](const Result& result) {
      return result.argument.has_value() || result.view;
    });
    std::vector<LazyTensor> tensors;
    if (views || outputs.size() > outputs_before_writes_) {
      for (const py::handle& argument : arguments) tensors.push_back(to_tensor(argument));
    }
    size_t next = outputs_before_writes_;
    for (const CellUse& use : uses_) {
      if (!use.is_written) continue;
      write(use, use.argument ? &tensors[*use.argument] : nullptr, outputs[next++]);
    }
    return make_results(tensors, outputs);
  }

 private:
  void note_result(const LazyTensor& tensor) {
    Result& result = results_.emplace_back();
    const Ref value = tensor.value();
    result.differentiable = !optimizer_ && value.node->requires_grad;
    if (!optimizer_) {
      result.view = tensor.view();
      find_cell(result, tensor.cell());
    }
    // The whole of an argument or of a tensor of outside is read there.
    if (!result.view && (result.cell || result.argument)) return;
    result.output = outputs_.size();
    outputs_.push_back(value);
  }

  void find_cell(Result& result, const std::shared_ptr<Cell>& cell) const {
    for (size_t i = 0; i < arguments_.size(); ++i) {
      if (!arguments_[i] || arguments_[i]->cell() != cell) continue;
      result.argument = i;
      result.below_view = true;
      return;
    }
    if (cell->trace == capture_->id()) return;
    for (const Capture::External& external : capture_->externals()) {
      if (external.cell == cell) result.argument = external.argument;
    }
    if (!result.argument) result.cell = cell;
  }

  // Results that share a cell which the function made: its value is an output too.
  void note_groups(const std::vector<LazyTensor>& results) {
    if (optimizer_) return;
    std::map<const Cell*, size_t> first;  // result
    for (size_t i = 0; i < results.size(); ++i) {
      if (results_[i].cell || results_[i].argument) continue;
      const auto [it, is_new] = first.emplace(results[i].cell().get(), i);
      if (is_new) continue;
      std::optional<size_t>& group = results_[it->second].group;
      if (!group) {
        group = groups_.size();
        groups_.push_back(outputs_.size());
        outputs_.push_back(results[i].cell()->value());
      }
      results_[i].group = group;
    }
  }

  // Whether the placeholder was written in place. The new values come in the order of uses_.
  bool note_argument(size_t i) {
    if (!given_[i]) return false;
    const Ref now = arguments_[i]->value();
    const bool written = !(now == given_[i]);
    if (written) outputs_.push_back(now);
    uses_.push_back(
        {nullptr, i, false, argument_name(i), false, written, !optimizer_ && has_history(now)});
    return written;
  }

  // Whether the program brings a new value for it: the last outputs.
  bool note_external(const Capture::External& external) {
    if (external.cell->slot()) return false;
    uses_.push_back({external.argument ? nullptr : external.cell, external.argument, true,
                     external.input.node->name, false, external.written(),
                     !optimizer_ && has_history(external.now)});
    return external.written();
  }

  void need_an_output(const std::vector<LazyTensor>& results, bool writes_outside) {
    if (!outputs_.empty() || writes_outside) return;
    for (const LazyTensor& result : results) outputs_ = {result.value()};
    for (const Capture::External& external : capture_->externals()) {
      if (external.written()) outputs_ = {external.now};
    }
    PLAIT_CHECK(!outputs_.empty(), "compile", "the function returns no tensor and writes none");
    outputs_before_writes_ = 1;
  }

  static Array read(const CellUse& use, const py::list& arguments) {
    if (use.cell) return lazy::array_of(use.cell->value());
    const py::object argument = arguments[*use.argument];
    return use.whole ? lazy::array_of(as_tensor(argument)->cell()->value()) : borrowed(argument);
  }

  // `argument`: the tensor that stands for an argument, one of its own for an array.
  static void write(const CellUse& use, LazyTensor* argument, const Array& array) {
    const Ref value = result_node(array, use.differentiable);
    const std::shared_ptr<Cell>& cell = use.cell ? use.cell : argument->cell();
    if (use.cell || use.whole) return cell->set_value(value);
    // The function itself wrote with no_grad what requires gradients.
    const bool leaf = cell->requires_grad() && cell->is_leaf();
    const bool on = std::exchange(lazy::grad_enabled(), lazy::grad_enabled() && !leaf);
    try {
      argument->write(value);
    } catch (...) {
      lazy::grad_enabled() = on;
      throw;
    }
    lazy::grad_enabled() = on;
  }

  SymbolValues symbols_of(const std::vector<LazyTensor>& arguments) const {
    SymbolValues symbols;
    for (size_t i = 0; i < arguments.size(); ++i) {
      const Shape& shape = arguments[i].type().shape;
      for (size_t k = 0; k < shape.size(); ++k) {
        const Expr size = symbolic_shapes_[i][k];
        if (size.kind() == ExprKind::symbol) symbols[size.name()] = *shape[k].constant();
      }
    }
    return symbols;
  }

  std::vector<LazyTensor> make_results(const std::vector<LazyTensor>& arguments,
                                       const std::vector<Array>& outputs) const {
    const SymbolValues symbols = symbols_of(arguments);
    std::vector<std::shared_ptr<Cell>> groups(groups_.size());
    std::vector<LazyTensor> results;
    for (const Result& result : results_) {
      const auto value = [&] {
        return result_node(outputs[*result.output], result.differentiable);
      };
      if (result.argument && result.below_view && !result.view) {
        results.push_back(arguments[*result.argument]);
        continue;
      }
      std::shared_ptr<Cell> cell = result.cell;
      std::shared_ptr<const lazy::View> under;
      if (result.argument) {
        cell = arguments[*result.argument].cell();
        if (result.below_view) under = arguments[*result.argument].view();
      } else if (result.group) {
        std::shared_ptr<Cell>& made = groups[*result.group];
        if (!made) {
          made = std::make_shared<Cell>(
              result_node(outputs[groups_[*result.group]], result.differentiable));
        }
        cell = made;
      }
      if (!cell) {
        results.emplace_back(value());
      } else if (!result.view && !under) {
        results.emplace_back(cell);
      } else {
        auto view = lazy::stack_views(under, result.view.get(), symbols);
        results.emplace_back(cell, std::move(view), cell->value(), value());
      }
    }
    return results;
  }

  std::unique_ptr<Capture> capture_ = std::make_unique<Capture>();
  std::vector<Ref> given_;                            // placeholders, by argument
  std::vector<std::optional<LazyTensor>> arguments_;  // of placeholders
  std::vector<Ref> outputs_;
  std::vector<Shape> symbolic_shapes_;       // by argument
  std::vector<std::shared_ptr<Cell>> held_;  // whose address is part of what it is known by

  std::shared_ptr<optim::Optimizer> optimizer_;
  std::optional<Program> program_;
  std::optional<lazy::MemoryUse> memory_use_;
  std::vector<CellUse> uses_;
  std::vector<Result> results_;
  std::vector<size_t> groups_;  // the outputs that are the values of the groups' cells
  size_t outputs_before_writes_ = 0;
};

}  // namespace

void bind_captured(py::module_& module) {
  py::enum_<Given>(module, "Given")
      .value("placeholder", Given::placeholder)
      .value("bound", Given::bound)
      .value("outside", Given::outside);
  py::class_<Sharing>(module, "Sharing")
      .def_property_readonly("key", [](const Sharing& sharing) { return py::bytes(sharing.key); })
      .def_readonly("given", &Sharing::given)
      .def_readonly("fixed_sizes", &Sharing::fixed_sizes);
  py::class_<CapturedProgram>(module, "CapturedProgram")
      .def(py::init<>())
      .def("argument", &CapturedProgram::argument)
      .def("end", &CapturedProgram::end)
      .def("set_results", &CapturedProgram::set_results)
      .def("sharing", &CapturedProgram::sharing)
      .def("compile", &CapturedProgram::compile)
      .def_property_readonly("is_compiled", &CapturedProgram::is_compiled)
      .def("run", &CapturedProgram::run)
      .def_property_readonly("program", &CapturedProgram::program);
  module.def("grad_kind",
             [](const LazyTensor& tensor) { return static_cast<int>(grad_kind(tensor)); });
  module.def("capturing", [] { return Capture::current() != nullptr; });
}

}  // namespace plait::python
