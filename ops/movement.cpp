// Ops that move elements without changing them: each is one reindex or broadcast.
#include <algorithm>

#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"
#include "ops/reshape_map.h"

namespace plait {
namespace {

using detail::axis_variable;
using detail::axis_variables;
using detail::op_name;

// The shape with its -1, if any, replaced by what is left of the elements.
Shape resolve_unknown(const Tensor& input, const Shape& shape) {
  Shape known;
  int64_t unknown = -1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!shape[i].is_constant(-1)) {
      PLAIT_CHECK(bounds(shape[i], {}).lo.value_or(0) >= 0, op_name(),
                  "sizes must not be negative, but one may be -1; got {}", to_string(shape));
      known.push_back(shape[i]);
      continue;
    }
    PLAIT_CHECK(unknown < 0, op_name(), "only one size may be -1; got {}", to_string(shape));
    unknown = static_cast<int64_t>(i);
  }
  if (unknown < 0) return shape;
  const Expr total = element_count(input.shape());
  const Expr divisor = product(known);
  PLAIT_CHECK(!divisor.is_constant(0), op_name(), "-1 is ambiguous beside a size 0; got {} for {}",
              to_string(shape), to_string(input.type()));
  Shape result = shape;
  const std::optional<Expr> exact = detail::exact_quotient(input.shape(), known);
  result[unknown] = exact ? *exact : simplify(floor_div(total, divisor), {});
  return result;
}

void check_same_count(const Tensor& input, const Shape& shape) {
  const Expr have = element_count(input.shape());
  const Expr want = element_count(shape);
  const std::optional<bool> equal = prove_equal(have, want, {});
  if (equal == true) return;
  std::string message =
      fmt::format("[{}] the number of elements must stay; got {} for {}; {} != {}", op_name(),
                  to_string(shape), to_string(input.type()), to_string(want), to_string(have));
  if (equal == false) throw UserError(message);
  input.graph()->add_guard({have, want, std::move(message)});
}

// A position in [0, size], counted from the end where negative, as in a Python slice.
Expr slice_bound(Expr position, Expr size) {
  if (position == size) return size;
  const std::optional<int64_t> number = position.constant();
  if (number && *number < 0) return max(size + position, 0);
  return min(position, size);
}

}  // namespace

Tensor reshape(const Tensor& input, const Shape& shape) {
  OpScope op("reshape");
  detail::graph_of({&input});
  const Shape target = resolve_unknown(input, shape);
  check_same_count(input, target);
  if (target == input.shape()) return input;
  return detail::reindex(input, target, detail::reshape_map(input.shape(), target));
}

Tensor view(const Tensor& input, const Shape& shape) {
  OpScope op("view");
  return reshape(input, shape);
}

Tensor flatten(const Tensor& input, int64_t start_dim, int64_t end_dim) {
  OpScope op("flatten");
  detail::graph_of({&input});
  if (input.rank() == 0) return reshape(input, {1});
  const int64_t first = detail::normalize_axis(start_dim, input);
  const int64_t last = detail::normalize_axis(end_dim, input);
  PLAIT_CHECK(first <= last, op_name(), "start_dim must not be after end_dim; got {} and {} for {}",
              start_dim, end_dim, to_string(input.type()));
  Shape shape(input.shape().begin(), input.shape().begin() + first);
  shape.push_back(product(std::span(input.shape()).subspan(first, last - first + 1)));
  shape.insert(shape.end(), input.shape().begin() + last + 1, input.shape().end());
  return reshape(input, shape);
}

Tensor unflatten(const Tensor& input, int64_t dim, const Shape& sizes) {
  OpScope op("unflatten");
  const int64_t axis = detail::normalize_axis(dim, input);
  Shape shape(input.shape().begin(), input.shape().begin() + axis);
  shape.insert(shape.end(), sizes.begin(), sizes.end());
  shape.insert(shape.end(), input.shape().begin() + axis + 1, input.shape().end());
  return reshape(input, shape);
}

Tensor permute(const Tensor& input, const IntList& dims) {
  OpScope op("permute");
  detail::graph_of({&input});
  const int64_t rank = input.rank();
  PLAIT_CHECK(static_cast<int64_t>(dims.size()) == rank, op_name(),
              "every dim must be named once; got {} dims for {} of rank {}", dims.size(),
              to_string(input.type()), rank);
  std::vector<int64_t> order;
  for (int64_t dim : dims) {
    const int64_t axis = detail::normalize_axis(dim, input);
    PLAIT_CHECK(std::find(order.begin(), order.end(), axis) == order.end(), op_name(),
                "a dim is named twice; got dim {} for {}", dim, to_string(input.type()));
    order.push_back(axis);
  }
  if (std::is_sorted(order.begin(), order.end())) return input;
  return {input.graph(), meta::transpose(*input.graph(), input.value(), order)};
}

Tensor transpose(const Tensor& input, int64_t dim0, int64_t dim1) {
  OpScope op("transpose");
  if (detail::names_rank_zero(dim0, input) && detail::names_rank_zero(dim1, input)) return input;
  const int64_t first = detail::normalize_axis(dim0, input);
  const int64_t second = detail::normalize_axis(dim1, input);
  std::vector<int64_t> order;
  for (int64_t i = 0; i < input.rank(); ++i) order.push_back(i);
  std::swap(order[first], order[second]);
  return permute(input, order);
}

Tensor movedim(const Tensor& input, int64_t source, int64_t destination) {
  OpScope op("movedim");
  if (detail::names_rank_zero(source, input) && detail::names_rank_zero(destination, input)) {
    return input;
  }
  const int64_t from = detail::normalize_axis(source, input);
  const int64_t to = detail::normalize_axis(destination, input);
  std::vector<int64_t> order;
  for (int64_t i = 0; i < input.rank(); ++i) {
    if (i != from) order.push_back(i);
  }
  order.insert(order.begin() + to, from);
  return permute(input, order);
}

Tensor expand(const Tensor& input, const Shape& size) {
  OpScope op("expand");
  detail::graph_of({&input});
  const int64_t added = static_cast<int64_t>(size.size()) - input.rank();
  PLAIT_CHECK(added >= 0, op_name(), "dims can only be added at the front; got {} for {}",
              to_string(size), to_string(input.type()));
  Shape shape = size;
  for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); ++i) {
    const bool is_new = i < added;
    if (shape[i].is_constant(-1)) {
      PLAIT_CHECK(!is_new, op_name(), "-1 keeps a size, but dim {} is new; got {} for {}", i,
                  to_string(size), to_string(input.type()));
      shape[i] = input.shape()[i - added];
    }
    if (is_new) continue;
    const Expr old = input.shape()[i - added];
    PLAIT_CHECK(old.is_constant(1) || prove_equal(old, shape[i], {}) != false, op_name(),
                "only dims of size 1 stretch; got {} for {}; dim {}: {} != {}", to_string(size),
                to_string(input.type()), i, to_string(old), to_string(shape[i]));
  }
  return detail::broadcast_to_shape(input, shape);
}

Tensor broadcast_to(const Tensor& input, const Shape& shape) {
  OpScope op("broadcast_to");
  return expand(input, shape);
}

Tensor squeeze(const Tensor& input, const Dims& dim) {
  OpScope op("squeeze");
  Shape shape;
  std::vector<Expr> map(input.defined() ? input.rank() : 0);
  const std::vector<int64_t> axes = detail::normalize_axes(dim, input);
  for (int64_t i = 0; i < input.rank(); ++i) {
    const bool named = std::binary_search(axes.begin(), axes.end(), i);
    if (named && input.shape()[i].is_constant(1)) continue;
    map[i] = axis_variable(static_cast<int64_t>(shape.size()));
    shape.push_back(input.shape()[i]);
  }
  if (shape == input.shape()) return input;
  return detail::reindex(input, shape, std::move(map));
}

Tensor unsqueeze(const Tensor& input, int64_t dim) {
  OpScope op("unsqueeze");
  detail::graph_of({&input});
  const int64_t axis = detail::normalize_axis(dim, input.rank() + 1, input);
  Shape shape = input.shape();
  shape.insert(shape.begin() + axis, Expr(1));
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < input.rank(); ++i) axes.push_back(i < axis ? i : i + 1);
  return detail::broadcast(input, shape, std::move(axes));
}

Tensor slice(const Tensor& input, int64_t dim, std::optional<Expr> start, std::optional<Expr> end,
             int64_t step) {
  OpScope op("slice");
  const int64_t axis = detail::normalize_axis(dim, input);
  PLAIT_CHECK(step >= 1, op_name(), "step must be at least 1; got {}. hint: use flip", step);
  const Expr size = input.shape()[axis];
  const Expr first = simplify(slice_bound(start.value_or(0), size), {});
  const Expr last = simplify(slice_bound(end.value_or(size), size), {});
  Shape shape = input.shape();
  shape[axis] = simplify(max(ceil_div(last - first, step), 0), {});
  if (shape == input.shape() && step == 1) return input;
  std::vector<Expr> map = axis_variables(input.rank());
  map[axis] = first + Expr(step) * map[axis];
  return detail::reindex(input, shape, std::move(map));
}

Tensor narrow(const Tensor& input, int64_t dim, Expr start, Expr length) {
  OpScope op("narrow");
  const int64_t axis = detail::normalize_axis(dim, input);
  const Expr size = input.shape()[axis];
  const Expr first = start.constant().value_or(0) < 0 ? size + start : start;
  const bool outside = prove_less(first, 0, {}) == true || prove_less(length, 0, {}) == true ||
                       prove_less(size, first + length, {}) == true;
  PLAIT_CHECK(!outside, op_name(),
              "the part must lie within dim {}; got start {}, length {} for {}", axis,
              to_string(start), to_string(length), to_string(input.type()));
  return slice(input, axis, first, first + length);
}

Tensor select(const Tensor& input, int64_t dim, Expr index) {
  OpScope op("select");
  const int64_t axis = detail::normalize_axis(dim, input);
  const Expr size = input.shape()[axis];
  const Expr position = index.constant().value_or(0) < 0 ? size + index : index;
  const bool outside =
      prove_less(position, 0, {}) == true || prove_less(position, size, {}) == false;
  PLAIT_CHECK(!outside, op_name(), "index out of range; got index {} for {}; dim {} has size {}",
              to_string(index), to_string(input.type()), axis, to_string(size));
  Shape shape = input.shape();
  shape.erase(shape.begin() + axis);
  std::vector<Expr> map = axis_variables(input.rank() - 1);
  map.insert(map.begin() + axis, position);
  return detail::reindex(input, shape, std::move(map));
}

Tensor flip(const Tensor& input, const IntList& dims) {
  OpScope op("flip");
  detail::graph_of({&input});
  if (dims.size() == 0) return input;
  std::vector<Expr> map = axis_variables(input.rank());
  for (int64_t axis : detail::normalize_axes(dims.values(), input)) {
    map[axis] = input.shape()[axis] - Expr(1) - map[axis];
  }
  return detail::reindex(input, input.shape(), std::move(map));
}

Tensor roll(const Tensor& input, const IntList& shifts, const Dims& dims) {
  OpScope op("roll");
  detail::graph_of({&input});
  if (dims.all()) {
    PLAIT_CHECK(shifts.size() == 1, op_name(), "without dims one shift is needed; got {}",
                shifts.size());
    return reshape(roll(flatten(input), shifts, 0), input.shape());
  }
  PLAIT_CHECK(shifts.size() == dims.values().size(), op_name(),
              "one shift per dim is needed; got {} shifts and {} dims", shifts.size(),
              dims.values().size());
  std::vector<Expr> map = axis_variables(input.rank());
  for (size_t i = 0; i < shifts.size(); ++i) {
    const int64_t axis = detail::normalize_axis(dims.values()[i], input);
    const Expr size = input.shape()[axis];
    if (size.is_constant(0)) return input;
    map[axis] = mod(map[axis] - Expr(shifts[i]), size);
  }
  return detail::reindex(input, input.shape(), std::move(map));
}

std::vector<OpRecord> movement_ops() {
  return {
      {
          .signature = "reshape(Tensor input, Shape shape) -> Tensor",
          .doc = "The same elements in row-major order in another shape; one size may be -1. "
                 "UserError if the number of elements differs.",
          .composition = compose<&reshape>,
          .oracle = "np.reshape(input, shape)",
          .samples = {"(randn(3, 4), [2, 6])", "(randn(2, 3, 4), [2, -1])", "(randn(7), [7])",
                      "(randn(2, 3, 4), [3, 2, 4])", "(randn(), [1, 1])", "(randn(1), [])",
                      "(randn(0, 3), [3, 0])", "(randn(2, 1, 6), [4, 1, 3])", "(arange(6), -1)"},
      },
      {
          .signature = "view(Tensor input, Shape shape) -> Tensor",
          .doc = "`reshape`; a tensor here has no strides that could forbid it.",
          .composition = compose<&view>,
          .oracle = "np.reshape(input, shape)",
          .samples = {"(randn(3, 4), [2, 6])", "(randn(2, 3, 4), [-1])"},
      },
      {
          .signature = "flatten(Tensor input, int start_dim=0, int end_dim=-1) -> Tensor",
          .doc = "Joins the dims from start_dim to end_dim. Rank 0 becomes rank 1.",
          .composition = compose<&flatten>,
          .oracle = R"(
if input.ndim == 0:
    return input.reshape(1)
a, b = start_dim % input.ndim, end_dim % input.ndim
return input.reshape(*input.shape[:a], int(np.prod(input.shape[a:b + 1])), *input.shape[b + 1:])
)",
          .samples = {"(randn(3, 4),)", "(randn(2, 3, 4), 1)", "(randn(2, 3, 4), 0, 1)",
                      "(randn(),)", "(randn(0, 3),)"},
      },
      {
          .signature = "unflatten(Tensor input, int dim, Shape sizes) -> Tensor",
          .doc = "Splits one dim into several; one size may be -1.",
          .composition = compose<&unflatten>,
          .oracle = "input.reshape(*input.shape[:dim % input.ndim], *sizes, "
                    "*input.shape[dim % input.ndim + 1:])",
          .samples = {"(randn(3, 12), 1, [3, 4])", "(randn(6, 2), 0, [-1, 2])"},
      },
      {
          .signature = "permute(Tensor input, int[] dims) -> Tensor",
          .doc = "Dim i of the result is dim dims[i] of the input.",
          .composition = compose<&permute>,
          .oracle = "np.transpose(input, dims)",
          .samples = {"(randn(3, 5), [1, 0])", "(randn(2, 3, 4), [2, 0, 1])",
                      "(randn(2, 3), [0, 1])", "(randn(0, 3), [-1, 0])"},
      },
      {
          .signature = "transpose(Tensor input, int dim0, int dim1) -> Tensor",
          .doc = "Exchanges two dims.",
          .composition = compose<&transpose>,
          .oracle = "np.swapaxes(input, dim0, dim1)",
          .samples = {"(randn(3, 5), 0, 1)", "(randn(2, 3, 4), -1, -2)", "(randn(2, 3), 1, 1)",
                      "(randn(0, 3), 0, 1)"},
      },
      {
          .signature = "movedim(Tensor input, int source, int destination) -> Tensor",
          .doc = "Moves one dim to another place; the others keep their order.",
          .composition = compose<&movedim>,
          .oracle = "np.moveaxis(input, source, destination)",
          .samples = {"(randn(2, 3, 4), 0, 2)", "(randn(2, 3, 4), -1, 0)"},
      },
      {
          .signature = "expand(Tensor input, Shape size) -> Tensor",
          .doc = "Stretches dims of size 1 and adds dims in front; -1 keeps a size.",
          .composition = compose<&expand>,
          .oracle = "np.broadcast_to(input, [input.shape[i - len(size)] if s == -1 else s for i, s "
                    "in enumerate(size)])",
          .samples = {"(randn(3, 1), [3, 5])", "(randn(3, 1), [2, -1, 4])", "(randn(), [2, 3])",
                      "(randn(1, 3), [0, 3])"},
      },
      {
          .signature = "broadcast_to(Tensor input, Shape shape) -> Tensor",
          .doc = "`expand` by its numpy name.",
          .composition = compose<&broadcast_to>,
          .oracle = "np.broadcast_to(input, shape)",
          .samples = {"(randn(3, 1), [3, 5])", "(randn(), [2, 3])"},
      },
      {
          .signature = "squeeze(Tensor input, int[]? dim=None) -> Tensor",
          .doc = "Drops the named dims where they have size 1 (all such dims without `dim`). A "
                 "symbolic size never counts as 1.",
          .composition = compose<&squeeze>,
          .oracle = "np.squeeze(input, tuple(d for d in axes(dim, input) if input.shape[d] == 1))",
          .samples = {"(randn(3, 1, 5, 1),)", "(randn(3, 1, 5), 1)", "(randn(3, 5), 0)",
                      "(randn(1, 3, 1), [0, -1])", "(randn(1, 1),)", "(randn(0, 1),)"},
      },
      {
          .signature = "unsqueeze(Tensor input, int dim) -> Tensor",
          .doc = "A new dim of size 1 at `dim`.",
          .composition = compose<&unsqueeze>,
          .oracle = "np.expand_dims(input, dim)",
          .samples = {"(randn(3, 5), 0)", "(randn(3, 5), -1)", "(randn(3, 5), 1)", "(randn(), 0)"},
      },
      {
          .signature = "slice(Tensor input, int dim=0, Size? start=None, Size? end=None, int "
                       "step=1) -> Tensor",
          .doc = "input[start:end:step] along `dim`, with Python's rules: negative positions count "
                 "from the end, positions outside are moved to it. step >= 1.",
          .composition = compose<&slice>,
          .oracle = "input[(slice(None),) * (dim % input.ndim) + "
                    "(slice(start, end, step),)]",
          .samples = {"(randn(7, 3), 0, 1, 5)", "(randn(7, 3), 0, 1, 6, 2)",
                      "(randn(3, 7), -1, -3)", "(randn(7), 0, 5, 2)", "(randn(7), 0, -100, 100)",
                      "(randn(3, 8), 1, None, -1, 3)", "(randn(5),)"},
      },
      {
          .signature = "narrow(Tensor input, int dim, Size start, Size length) -> Tensor",
          .doc = "`length` elements from `start` on along `dim`. UserError if they leave the dim.",
          .composition = compose<&narrow>,
          .oracle = "np.take(input, np.arange(length) + start % max(input.shape[dim], 1), dim)",
          .samples = {"(randn(7, 3), 0, 2, 3)", "(randn(3, 7), 1, -3, 2)", "(randn(7), 0, 0, 7)",
                      "(randn(7), 0, 3, 0)"},
      },
      {
          .signature = "select(Tensor input, int dim, Size index) -> Tensor",
          .doc = "One position of a dim, which disappears; negative positions count from the end.",
          .composition = compose<&select>,
          .oracle = "np.take(input, index, dim)",
          .samples = {"(randn(7, 3), 0, 2)", "(randn(3, 7), 1, -1)", "(randn(7), 0, 0)"},
      },
      {
          .signature = "flip(Tensor input, int[] dims) -> Tensor",
          .doc = "Reverses the order along the named dims.",
          .composition = compose<&flip>,
          .oracle = "np.flip(input, dims)",
          .samples = {"(randn(3, 5), [0])", "(randn(3, 5), [0, -1])", "(randn(0, 3), [0])"},
      },
      {
          .signature = "roll(Tensor input, int[] shifts, int[]? dims=None) -> Tensor",
          .doc = "Shifts elements along dims (in row-major order without them); what leaves at the "
                 "end comes back at the start.",
          .composition = compose<&roll>,
          .oracle = "np.roll(input, tuple(shifts) if dims is not None else shifts[0], "
                    "axes(dims))",
          .samples = {"(randn(3, 5), 2, 1)", "(randn(3, 5), -7, 0)", "(randn(3, 5), 4)",
                      "(randn(3, 5), [1, 2], [0, 1])", "(randn(0, 3), 1, 0)"},
      },
  };
}

}  // namespace plait
