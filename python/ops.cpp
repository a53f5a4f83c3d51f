// Calls of composite ops from Python, by the signatures of their records.
#include <pybind11/eval.h>

#include <algorithm>

#include "core/error.h"
#include "python/bindings.h"
#include "python/lazy/evaluate.h"

namespace plait::python {
namespace {

using lazy::CallArgument;
using lazy::Op;
using lazy::OperandIndex;
using lazy::Parameter;

std::string shown(const py::handle& object) {
  std::string text = py::repr(object).cast<std::string>();
  if (text.size() > 80) text = text.substr(0, 77) + "...";
  return fmt::format("{} ({})", text,
                     py::str(py::type::of(object).attr("__name__")).cast<std::string>());
}

[[noreturn]] void refuse(const Op& op, const Parameter& parameter, const py::handle& got) {
  throw UserError(fmt::format("[{}] argument '{}' must be {}; got {}. hint: {}", op.record->name(),
                              parameter.name, parameter.type_text, shown(got),
                              op.record->signature));
}

bool is_integer(const py::handle& object) {
  return !PyBool_Check(object.ptr()) && PyIndex_Check(object.ptr()) &&
         !py::isinstance<LazyTensor>(object);
}

bool is_numpy_scalar(const py::handle& object) {
  static auto& type = *new py::object(py::module_::import("numpy").attr("generic"));
  return py::isinstance(object, type);
}

// The arguments of one call on their way to a node.
class Reader {
 public:
  explicit Reader(const Op& op) : op_(op) {}

  void read(const Parameter& parameter, const py::handle& object) {
    if (object.is_none()) {
      if (!parameter.optional) refuse(op_, parameter, object);
      arguments.emplace_back(std::monostate());
      return;
    }
    try {
      arguments.push_back(convert(parameter.type, object));
    } catch (const py::cast_error&) {
      refuse(op_, parameter, object);
    } catch (py::error_already_set& error) {
      const bool mistake = error.matches(PyExc_TypeError) || error.matches(PyExc_ValueError) ||
                           error.matches(PyExc_OverflowError);
      if (!mistake) throw;
      refuse(op_, parameter, object);
    }
  }

  std::vector<CallArgument> arguments;
  std::vector<LazyTensor> operands;

 private:
  OperandIndex add(const py::handle& object) {
    operands.push_back(to_tensor(object));
    return {static_cast<uint32_t>(operands.size() - 1)};
  }

  static std::vector<int64_t> integers(const py::handle& object) {
    if (is_integer(object)) return {object.cast<int64_t>()};
    std::vector<int64_t> result;
    for (const py::object item : list_of(object)) {
      if (!is_integer(item)) throw py::cast_error("not an integer");
      result.push_back(item.cast<int64_t>());
    }
    return result;
  }

  static py::sequence list_of(const py::handle& object) {
    const bool text = py::isinstance<py::str>(object) || py::isinstance<py::bytes>(object);
    if (text || py::isinstance<LazyTensor>(object) || !PySequence_Check(object.ptr())) {
      throw py::cast_error("not a list");
    }
    return py::reinterpret_borrow<py::sequence>(object);
  }

  CallArgument operand(const py::handle& object) {
    if (is_numpy_scalar(object)) return operand(object.attr("item")());
    if (PyBool_Check(object.ptr())) return object.cast<bool>();
    if (PyLong_Check(object.ptr())) return object.cast<int64_t>();
    if (PyFloat_Check(object.ptr())) return object.cast<double>();
    if (py::isinstance<Expr>(object)) return object.cast<Expr>();
    return add(object);
  }

  CallArgument convert(Parameter::Type type, const py::handle& object) {
    switch (type) {
      case Parameter::Type::tensor:
        return add(object);
      case Parameter::Type::tensors: {
        std::vector<OperandIndex> list;
        for (const py::object item : list_of(object)) list.push_back(add(item));
        return list;
      }
      case Parameter::Type::operand:
        return operand(object);
      case Parameter::Type::integer:
        if (!is_integer(object)) throw py::cast_error("not an integer");
        return object.cast<int64_t>();
      case Parameter::Type::integers:
        return integers(object);
      case Parameter::Type::size:
        return to_size(object);
      case Parameter::Type::shape: {
        Shape shape;
        if (is_integer(object) || py::isinstance<Expr>(object)) return Shape{to_size(object)};
        for (const py::object item : list_of(object)) shape.push_back(to_size(item));
        return shape;
      }
      case Parameter::Type::number:
        if (PyBool_Check(object.ptr())) throw py::cast_error("not a number");
        return object.cast<double>();
      case Parameter::Type::flag:
        if (is_numpy_scalar(object)) return convert(type, object.attr("item")());
        if (!PyBool_Check(object.ptr())) throw py::cast_error("not a bool");
        return object.cast<bool>();
      case Parameter::Type::text:
        return object.cast<std::string>();
      case Parameter::Type::dtype:
        return to_dtype(object);
    }
    PLAIT_UNREACHABLE("parameter type {}", static_cast<int>(type));
  }

  const Op& op_;
};

py::object initial_value(const Parameter& parameter) {
  const std::string& text = *parameter.initial;
  if (parameter.type == Parameter::Type::dtype && text != "None") {
    return py::cast(*parse_dtype(text));
  }
  return py::eval(text);
}

// By op and parameter; made once.
const py::object& initial_value(const Op& op, size_t parameter) {
  static auto& values = *new std::vector<std::vector<py::object>>(lazy::ops().size());
  std::vector<py::object>& of_op = values[op.number];
  if (of_op.empty()) {
    for (const Parameter& each : op.parameters) {
      of_op.push_back(each.initial ? initial_value(each) : py::none());
    }
  }
  return of_op[parameter];
}

// x.reshape(2, 3) is x.reshape([2, 3]): integers that are left over belong to a list that is the
// last argument by position.
bool takes_rest(const Op& op, size_t parameter, const py::args& args) {
  const Parameter::Type type = op.parameters[parameter].type;
  if (type != Parameter::Type::shape && type != Parameter::Type::integers) return false;
  if (parameter + 1 != op.positional || args.size() <= op.positional) return false;
  for (size_t i = parameter; i < args.size(); ++i) {
    if (!is_integer(args[i]) && !py::isinstance<Expr>(args[i])) return false;
  }
  return true;
}

void check_names(const Op& op, const py::kwargs& kwargs) {
  for (const auto& item : kwargs) {
    const auto key = item.first.cast<std::string>();
    const bool known = std::any_of(op.parameters.begin(), op.parameters.end(),
                                   [&](const Parameter& p) { return p.name == key; });
    PLAIT_CHECK(known, op.record->name(), "there is no argument '{}'. hint: {}", key,
                op.record->signature);
  }
}

py::object to_result(const Op& op, std::vector<LazyTensor> results) {
  if (!op.returns_list && results.size() == 1) return py::cast(std::move(results[0]));
  py::list list;
  for (LazyTensor& tensor : results) list.append(std::move(tensor));
  if (op.returns_list) return list;
  // All pairs but this one are elements and where they were.
  if (op.record->name() == "batch_norm_update") return py::tuple(list);
  static auto& pair = *new py::object(
      py::module_::import("collections")
          .attr("namedtuple")("ValuesAndIndices", py::make_tuple("values", "indices")));
  return pair(*py::tuple(list));
}

py::object call(const Op& op, const py::args& args, const py::kwargs& kwargs) {
  note_line();
  if (!kwargs.empty()) check_names(op, kwargs);
  Reader reader(op);
  size_t used = 0;
  for (size_t i = 0; i < op.parameters.size(); ++i) {
    const Parameter& parameter = op.parameters[i];
    const bool by_position = i < args.size() && !parameter.keyword_only;
    const bool by_name = !kwargs.empty() && kwargs.contains(parameter.name);
    PLAIT_CHECK(!(by_position && by_name), op.record->name(), "argument '{}' is given twice",
                parameter.name);
    if (by_position && takes_rest(op, i, args)) {
      reader.read(parameter, py::tuple(args[py::slice(i, args.size(), 1)]));
      used = args.size();
    } else if (by_position) {
      reader.read(parameter, args[i]);
      ++used;
    } else if (by_name) {
      reader.read(parameter, kwargs[parameter.name.c_str()]);
    } else {
      PLAIT_CHECK(parameter.initial.has_value(), op.record->name(),
                  "argument '{}' is missing. hint: {}", parameter.name, op.record->signature);
      reader.read(parameter, initial_value(op, i));
    }
  }
  PLAIT_CHECK(used == args.size(), op.record->name(),
              "takes {} arguments by position; got {}. hint: {}", op.positional, args.size(),
              op.record->signature);
  return to_result(op, lazy::call_on_tensors(op, std::move(reader.arguments), reader.operands));
}

py::dict to_dict(const OpRecord& record) {
  py::dict entry;
  entry["name"] = std::string(record.name());
  entry["signature"] = std::string(record.signature);
  entry["doc"] = std::string(record.doc);
  entry["oracle"] = std::string(record.oracle);
  py::list samples;
  for (std::string_view sample : record.samples) samples.append(std::string(sample));
  entry["samples"] = samples;
  entry["differentiable"] = record.differentiable;
  return entry;
}

}  // namespace

void bind_ops(py::module_& module) {
  module.def("op_records", [] {
    py::list list;
    for (const OpRecord& record : op_records()) list.append(to_dict(record));
    return list;
  });
  module.def("call", [](const std::string& name, const py::args& args, const py::kwargs& kwargs) {
    return call(lazy::find_operation(name), args, kwargs);
  });
  // The functions of all records; those whose first argument is a tensor are methods too.
  py::module_ functions = module.def_submodule("functions");
  const py::object tensor = module.attr("Tensor");
  for (const Op& op : lazy::ops()) {
    const std::string name(op.record->name());
    const std::string doc = fmt::format("{}\n\n{}", op.record->signature, op.record->doc);
    const auto body = [&op](const py::args& args, const py::kwargs& kwargs) {
      return call(op, args, kwargs);
    };
    functions.attr(name.c_str()) = py::cpp_function(body, py::name(name.c_str()), doc.c_str());
    if (op.parameters.empty()) continue;
    const std::string& first = op.parameters[0].name;
    if (first != "input" && first != "tensor") continue;
    tensor.attr(name.c_str()) =
        py::cpp_function(body, py::name(name.c_str()), py::is_method(tensor), doc.c_str());
  }
}

}  // namespace plait::python
