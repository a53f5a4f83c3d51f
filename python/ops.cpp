// Calls of composite ops by name, from their records.
#include <pybind11/eval.h>

#include <algorithm>

#include "core/error.h"
#include "ops/op_record.h"
#include "python/bindings.h"

namespace plait::python {
namespace {

struct Parameter {
  std::string type, name;
  std::optional<std::string> initial;
  bool keyword_only = false;
};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// "name(Type argument=default, *, …) -> …"
std::vector<Parameter> parameters_of(const OpRecord& record) {
  const std::string_view signature = record.signature;
  const size_t open = signature.find('('), close = signature.rfind(") ->");
  std::string_view text = signature.substr(open + 1, close - open - 1);
  std::vector<Parameter> result;
  bool keyword_only = false;
  while (!text.empty()) {
    size_t end = 0;
    for (int depth = 0; end < text.size() && (depth > 0 || text[end] != ','); ++end) {
      depth += text[end] == '[' || text[end] == '(';
      depth -= text[end] == ']' || text[end] == ')';
    }
    const std::string_view part = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (part == "*") {
      keyword_only = true;
      continue;
    }
    const size_t space = part.find(' ');
    std::string_view name = part.substr(space + 1);
    Parameter parameter{std::string(part.substr(0, space)), {}, {}, keyword_only};
    if (const size_t equals = name.find('='); equals != name.npos) {
      parameter.initial = std::string(name.substr(equals + 1));
      name = name.substr(0, equals);
    }
    parameter.name = std::string(name);
    result.push_back(std::move(parameter));
  }
  return result;
}

[[noreturn]] void refuse(std::string_view op, const Parameter& parameter, const py::handle& got) {
  throw UserError(fmt::format("[{}] argument '{}' must be {}; got {} ({})", op, parameter.name,
                              parameter.type, py::repr(got).cast<std::string>(),
                              py::str(py::type::of(got).attr("__name__")).cast<std::string>()));
}

bool is_integer_like(const py::handle& object) {
  return !py::isinstance<py::bool_>(object) && PyIndex_Check(object.ptr());
}

Argument operand(const py::handle& object) {
  if (py::isinstance<py::bool_>(object)) return Operand(object.cast<bool>());
  if (py::isinstance<py::int_>(object)) return Operand(object.cast<int64_t>());
  if (py::isinstance<py::float_>(object) && !py::hasattr(object, "dtype")) {
    return Operand(object.cast<double>());
  }
  return Operand(to_tensor(object).in_graph());
}

std::vector<int64_t> integers(const py::handle& object) {
  if (is_integer_like(object)) return {object.cast<int64_t>()};
  std::vector<int64_t> result;
  for (const py::handle item : object) result.push_back(item.cast<int64_t>());
  return result;
}

Argument convert_required(const std::string& type, const py::handle& object) {
  if (type == "Tensor") return to_tensor(object).in_graph();
  if (type == "Tensor[]") {
    std::vector<Tensor> tensors;
    for (const py::handle item : object) tensors.push_back(to_tensor(item).in_graph());
    return tensors;
  }
  if (type == "Operand") return operand(object);
  if (type == "int") return object.cast<int64_t>();
  if (type == "int[]") return integers(object);
  if (type == "Size") return Expr(object.cast<int64_t>());
  if (type == "Shape") {
    Shape shape;
    for (int64_t size : integers(object)) shape.emplace_back(size);
    return shape;
  }
  if (type == "float") return object.cast<double>();
  if (type == "bool") return object.cast<bool>();
  if (type == "str") return object.cast<std::string>();
  if (type == "DType") return to_dtype(object);
  PLAIT_UNREACHABLE("signature type {}", type);
}

Argument convert(std::string_view op, const Parameter& parameter, const py::handle& object) {
  std::string type = parameter.type;
  const bool optional = type.back() == '?';
  if (optional) type.pop_back();
  if (object.is_none()) {
    if (!optional) refuse(op, parameter, object);
    return std::monostate();
  }
  try {
    return convert_required(type, object);
  } catch (const py::cast_error&) {
    refuse(op, parameter, object);
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_TypeError) && !error.matches(PyExc_ValueError)) throw;
    refuse(op, parameter, object);
  }
}

py::object initial_value(const Parameter& parameter) {
  const std::string& text = *parameter.initial;
  if (parameter.type.starts_with("DType") && text != "None") {
    return py::cast(*parse_dtype(text));
  }
  return py::eval(text);
}

py::object call(const std::string& name, const py::args& args, const py::kwargs& kwargs) {
  const OpRecord& record = find_op(name);
  const std::vector<Parameter> parameters = parameters_of(record);
  note_source_line();
  std::vector<Argument> arguments;
  size_t used = 0;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& parameter = parameters[i];
    const bool by_position = i < args.size() && !parameter.keyword_only;
    const bool by_name = kwargs.contains(parameter.name);
    PLAIT_CHECK(!(by_position && by_name), name, "argument '{}' is given twice", parameter.name);
    py::object value;
    if (by_position) {
      value = args[i];
    } else if (by_name) {
      value = kwargs[parameter.name.c_str()];
      ++used;
    } else {
      PLAIT_CHECK(parameter.initial.has_value(), name, "argument '{}' is missing. hint: {}",
                  parameter.name, record.signature);
      value = initial_value(parameter);
    }
    arguments.push_back(convert(name, parameter, value));
  }
  size_t positional = 0;
  for (const Parameter& parameter : parameters) positional += !parameter.keyword_only;
  PLAIT_CHECK(args.size() <= positional, name, "takes {} arguments by position; got {}. hint: {}",
              positional, args.size(), record.signature);
  for (const auto& item : kwargs) {
    const auto key = item.first.cast<std::string>();
    const bool known = std::any_of(parameters.begin(), parameters.end(),
                                   [&](const Parameter& p) { return p.name == key; });
    PLAIT_CHECK(known, name, "there is no argument '{}'. hint: {}", key, record.signature);
  }
  std::vector<Tensor> results = record.composition(arguments);
  if (record.signature.ends_with("-> Tensor")) return py::cast(LazyTensor(results[0]));
  py::list list;
  for (Tensor& tensor : results) list.append(LazyTensor(std::move(tensor)));
  if (record.signature.ends_with("[]")) return list;
  return py::tuple(list);
}

}  // namespace

void bind_ops(py::module_& module) {
  module.def("op_records", [] {
    py::list list;
    for (const OpRecord& record : op_records()) {
      py::dict entry;
      entry["name"] = std::string(record.name());
      entry["signature"] = std::string(record.signature);
      entry["doc"] = std::string(record.doc);
      entry["oracle"] = std::string(record.oracle);
      py::list samples;
      for (std::string_view sample : record.samples) samples.append(std::string(sample));
      entry["samples"] = samples;
      entry["differentiable"] = record.differentiable;
      list.append(entry);
    }
    return list;
  });
  module.def("call", &call);
}

}  // namespace plait::python
