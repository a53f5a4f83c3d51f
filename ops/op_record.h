// One record per composite op. Everything else derives from it: the C++ declaration
// (ops/functions.h, generated from the signatures by tools/gen_ops_header.py), the Python function,
// its stub, the docs page, and the op tests. Adding an op touches the file of its family alone.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "core/error.h"
#include "ops/tensor.h"

namespace plait {

// An argument as a dynamic caller gives it; monostate is None. Signature types and their C++ types:
//   Tensor            const Tensor&            Tensor?    const std::optional<Tensor>&
//   Tensor[]          const std::vector<Tensor>&
//   Operand           const Operand& (a tensor, a number or a size)
//   Operand?          const std::optional<Operand>&
//   int               int64_t                  int?       std::optional<int64_t>
//   int[]             const IntList& (one number is a list of one)
//   int[]?            const Dims& (none, or an empty list: all dims)
//   Size              Expr (a number or a symbol)         Size?  std::optional<Expr>
//   Shape             const Shape& (a list of sizes)      Shape?
//                                                        const std::optional<Shape>&
//   float             double                   float?     std::optional<double>
//   str               const std::string&       str?       const std::optional<std::string>&
//   bool              bool
//   DType             DType                    DType?     std::optional<DType>
using Argument = std::variant<std::monostate, Tensor, std::vector<Tensor>, Operand, int64_t, double,
                              bool, std::string, DType, std::vector<int64_t>, Expr, Shape>;

struct OpRecord {
  // PyTorch's names and order: "softmax(Tensor input, int dim, *, DType? dtype=None) -> Tensor".
  // Returns are `Tensor`, `Tensor[]` (a list of any length) or `(Tensor, Tensor)`.
  std::string_view signature;
  // Markdown: what it computes, shapes, dtypes, errors, source of the formula.
  std::string_view doc;
  std::vector<Tensor> (*composition)(std::span<const Argument>);  // arguments in order, all given
  // What numpy says, in Python over numpy (np), scipy.special (sp) and the argument names: one
  // expression, or statements that end in `return`. Floats arrive as f64, tuples for several
  // results. Where only a property can be checked (random numbers), an expression over `result`,
  // the op's own result, that must be true.
  std::string_view oracle;
  // Python call arguments over the words of tests/python/op_samples.py (randn, rand, randint,
  // arange, full, array …: seeded numpy arrays): "(randn(3, 5), dim=1)". Odd sizes, empty, ties and
  // rank 0 belong here.
  std::vector<std::string_view> samples;
  bool differentiable = true;    // tests compare the gradient with finite differences
  std::string_view family = {};  // of ops/<family>.cpp; op_records() says it

  std::string_view name() const { return signature.substr(0, signature.find('(')); }
};

// The records of all families, sorted by name.
const std::vector<OpRecord>& op_records();
const OpRecord& find_op(std::string_view name);  // UserError lists the nearest names

namespace detail {

template <class T>
struct Unpack {
  static T from(const Argument& a) { return std::get<T>(a); }
};
template <class T>
struct Unpack<std::optional<T>> {
  static std::optional<T> from(const Argument& a) {
    if (std::holds_alternative<std::monostate>(a)) return std::nullopt;
    return Unpack<T>::from(a);
  }
};
template <>
struct Unpack<Operand> {
  static Operand from(const Argument& a) {
    if (const auto* tensor = std::get_if<Tensor>(&a)) return *tensor;
    if (const auto* integer = std::get_if<int64_t>(&a)) return *integer;
    if (const auto* number = std::get_if<double>(&a)) return *number;
    if (const auto* flag = std::get_if<bool>(&a)) return *flag;
    if (const auto* size = std::get_if<Expr>(&a)) return *size;
    return std::get<Operand>(a);
  }
};
template <>
struct Unpack<std::vector<int64_t>> {
  static std::vector<int64_t> from(const Argument& a) {
    if (const auto* integer = std::get_if<int64_t>(&a)) return {*integer};
    return std::get<std::vector<int64_t>>(a);
  }
};
template <>
struct Unpack<IntList> {
  static IntList from(const Argument& a) { return Unpack<std::vector<int64_t>>::from(a); }
};
template <>
struct Unpack<Dims> {
  static Dims from(const Argument& a) {
    if (std::holds_alternative<std::monostate>(a)) return {};
    return Unpack<std::vector<int64_t>>::from(a);
  }
};
template <>
struct Unpack<Expr> {
  static Expr from(const Argument& a) {
    if (const auto* integer = std::get_if<int64_t>(&a)) return *integer;
    return std::get<Expr>(a);
  }
};
template <>
struct Unpack<Shape> {
  static Shape from(const Argument& a) {
    if (const auto* shape = std::get_if<Shape>(&a)) return *shape;
    if (const auto* size = std::get_if<Expr>(&a)) return {*size};
    const std::vector<int64_t> sizes = Unpack<std::vector<int64_t>>::from(a);
    return {sizes.begin(), sizes.end()};
  }
};
template <>
struct Unpack<double> {
  static double from(const Argument& a) {
    if (const auto* integer = std::get_if<int64_t>(&a)) return static_cast<double>(*integer);
    return std::get<double>(a);
  }
};

inline std::vector<Tensor> to_list(Tensor t) { return {std::move(t)}; }
inline std::vector<Tensor> to_list(std::vector<Tensor> t) { return t; }
inline std::vector<Tensor> to_list(std::tuple<Tensor, Tensor> t) {
  return {std::move(std::get<0>(t)), std::move(std::get<1>(t))};
}

template <class Result, class... Parameters, size_t... I>
std::vector<Tensor> apply(Result (*f)(Parameters...), std::span<const Argument> arguments,
                          std::index_sequence<I...>) {
  PLAIT_INTERNAL_CHECK(arguments.size() == sizeof...(Parameters), "{} arguments for {} parameters",
                       arguments.size(), sizeof...(Parameters));
  return to_list(f(Unpack<std::decay_t<Parameters>>::from(arguments[I])...));
}
template <class Result, class... Parameters>
std::vector<Tensor> unpack_and_call(Result (*f)(Parameters...),
                                    std::span<const Argument> arguments) {
  return apply(f, arguments, std::index_sequence_for<Parameters...>());
}

}  // namespace detail

// The composition of a record, from the typed function.
template <auto F>
std::vector<Tensor> compose(std::span<const Argument> arguments) {
  return detail::unpack_and_call(F, arguments);
}

}  // namespace plait
