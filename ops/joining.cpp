// Joining, splitting, repeating and padding.
#include <algorithm>

#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace plait {
namespace {

using detail::axis_variables;
using detail::op_name;

// Of one graph and dtype.
std::vector<Tensor> gather_tensors(const std::vector<Tensor>& tensors) {
  PLAIT_CHECK(!tensors.empty(), op_name(), "at least one tensor is needed; got none");
  const std::shared_ptr<Graph> graph = detail::graph_of(tensors);
  DType dtype = tensors[0].dtype();
  for (const Tensor& tensor : tensors) dtype = promote(dtype, tensor.dtype());
  std::vector<Tensor> result;
  for (const Tensor& tensor : tensors) {
    result.push_back(detail::cast_to(detail::tensor_in(graph, tensor), dtype));
  }
  return result;
}

Tensor concat(const std::vector<Tensor>& tensors, int64_t axis) {
  if (tensors.size() == 1) return tensors[0];
  std::vector<Value> values;
  for (const Tensor& tensor : tensors) values.push_back(tensor.value());
  return {tensors[0].graph(), meta::concat(*tensors[0].graph(), std::move(values), axis)};
}

// Where element i - before of an axis of `size` is read from, for a padded position i.
Expr padded_position(const std::string& mode, Expr i, int64_t before, Expr size) {
  const Expr position = i - Expr(before);
  if (mode == "constant") return position;
  if (mode == "replicate") return max(min(position, size - Expr(1)), 0);
  if (mode == "circular") return mod(position, size);
  // Reflections at 0 and at the last element, which are not repeated.
  const Expr last = size - Expr(1);
  const Expr from_start = max(position, -position);
  const Expr over = last - from_start;
  return last - max(over, -over);
}

void check_pad_mode(const Tensor& input, const std::string& mode, int64_t axis, int64_t before,
                    int64_t after) {
  const Expr size = input.shape()[axis];
  auto at_most = [&](Expr limit) {
    return prove_less(limit, Expr(before), {}) != true &&
           prove_less(limit, Expr(after), {}) != true;
  };
  if (mode == "reflect") {
    PLAIT_CHECK(at_most(size - Expr(1)), op_name(),
                "reflection needs a padding below the size; got {} and {} for {}; dim {} has size "
                "{}",
                before, after, to_string(input.type()), axis, to_string(size));
  } else if (mode == "circular") {
    PLAIT_CHECK(at_most(size), op_name(),
                "circular padding must not exceed the size; got {} and {} for {}; dim {} has size "
                "{}",
                before, after, to_string(input.type()), axis, to_string(size));
  } else if (mode == "replicate") {
    PLAIT_CHECK(!size.is_constant(0), op_name(), "nothing to repeat; got {}; dim {} has size 0",
                to_string(input.type()), axis);
  }
}

}  // namespace

Tensor cat(const std::vector<Tensor>& tensors, int64_t dim) {
  OpScope op("cat");
  const std::vector<Tensor> parts = gather_tensors(tensors);
  return concat(parts, detail::normalize_axis(dim, parts[0]));
}

Tensor stack(const std::vector<Tensor>& tensors, int64_t dim) {
  OpScope op("stack");
  std::vector<Tensor> parts = gather_tensors(tensors);
  const int64_t axis = detail::normalize_axis(dim, parts[0].rank() + 1, parts[0]);
  for (const Tensor& part : parts) {
    PLAIT_CHECK(part.rank() == parts[0].rank(), op_name(),
                "shapes must be equal; got a: {}, b: {}; rank {} != {}", to_string(parts[0].type()),
                to_string(part.type()), parts[0].rank(), part.rank());
    for (int64_t i = 0; i < part.rank(); ++i) {
      PLAIT_CHECK(prove_equal(parts[0].shape()[i], part.shape()[i], {}) != false, op_name(),
                  "shapes must be equal; got a: {}, b: {}; axis {}: {} != {}",
                  to_string(parts[0].type()), to_string(part.type()), i,
                  to_string(parts[0].shape()[i]), to_string(part.shape()[i]));
    }
  }
  for (Tensor& part : parts) part = unsqueeze(part, axis);
  return concat(parts, axis);
}

std::vector<Tensor> split(const Tensor& tensor, const IntList& split_size_or_sections,
                          int64_t dim) {
  OpScope op("split");
  const int64_t axis = detail::normalize_axis(dim, tensor);
  const Expr size = tensor.shape()[axis];
  std::vector<int64_t> sections = split_size_or_sections.values();
  if (sections.size() == 1) {
    const int64_t part = sections[0];
    PLAIT_CHECK(part >= 1, op_name(), "the split size must be at least 1; got {}", part);
    const int64_t total = detail::fixed_size(size, "the dim that is split");
    sections.assign(total / part, part);
    if (total % part != 0 || total == 0) sections.push_back(total % part);
  }
  int64_t total = 0;
  for (int64_t section : sections) total += section;
  PLAIT_CHECK(prove_equal(size, total, {}) != false, op_name(),
              "the sections must add up to the dim; got {} for {}; dim {}: {} != {}", total,
              to_string(tensor.type()), axis, total, to_string(size));
  std::vector<Tensor> result;
  int64_t start = 0;
  for (int64_t section : sections) {
    result.push_back(narrow(tensor, axis, start, section));
    start += section;
  }
  return result;
}

std::vector<Tensor> chunk(const Tensor& input, int64_t chunks, int64_t dim) {
  OpScope op("chunk");
  PLAIT_CHECK(chunks >= 1, op_name(), "chunks must be at least 1; got {}", chunks);
  const int64_t axis = detail::normalize_axis(dim, input);
  const int64_t size = detail::fixed_size(input.shape()[axis], "the dim that is split");
  return split(input, std::max<int64_t>((size + chunks - 1) / chunks, 1), axis);
}

std::vector<Tensor> unbind(const Tensor& input, int64_t dim) {
  OpScope op("unbind");
  const int64_t axis = detail::normalize_axis(dim, input);
  const int64_t size = detail::fixed_size(input.shape()[axis], "the dim that is split");
  std::vector<Tensor> result;
  for (int64_t i = 0; i < size; ++i) result.push_back(select(input, axis, i));
  return result;
}

Tensor repeat(const Tensor& input, const IntList& repeats) {
  OpScope op("repeat");
  detail::graph_of({&input});
  const int64_t added = static_cast<int64_t>(repeats.size()) - input.rank();
  PLAIT_CHECK(added >= 0, op_name(), "one number per dim is needed; got {} for {} of rank {}",
              repeats.size(), to_string(input.type()), input.rank());
  // (r0, n0, r1, n1, …) by a broadcast, then each pair joined: its gradient is a plain sum.
  Shape stretched;
  Shape shape;
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < static_cast<int64_t>(repeats.size()); ++i) {
    PLAIT_CHECK(repeats[i] >= 0, op_name(), "repeats must not be negative; got {}", repeats[i]);
    const Expr size = i < added ? Expr(1) : input.shape()[i - added];
    stretched.push_back(repeats[i]);
    if (i >= added) {
      axes.push_back(static_cast<int64_t>(stretched.size()));
      stretched.push_back(size);
    }
    shape.push_back(size * Expr(repeats[i]));
  }
  return reshape(detail::broadcast(input, stretched, std::move(axes)), shape);
}

Tensor tile(const Tensor& input, const IntList& dims) {
  OpScope op("tile");
  detail::graph_of({&input});
  std::vector<int64_t> repeats = dims.values();
  while (static_cast<int64_t>(repeats.size()) < input.rank()) repeats.insert(repeats.begin(), 1);
  return repeat(input, repeats);
}

Tensor repeat_interleave(const Tensor& input, int64_t repeats, std::optional<int64_t> dim) {
  OpScope op("repeat_interleave");
  PLAIT_CHECK(repeats >= 0, op_name(), "repeats must not be negative; got {}", repeats);
  const Tensor x = dim ? input : flatten(input);
  const int64_t axis = detail::normalize_axis(dim.value_or(0), x);
  Shape stretched = x.shape();
  stretched.insert(stretched.begin() + axis + 1, Expr(repeats));
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < x.rank(); ++i) axes.push_back(i <= axis ? i : i + 1);
  Shape shape = x.shape();
  shape[axis] = shape[axis] * Expr(repeats);
  return reshape(detail::broadcast(x, stretched, std::move(axes)), shape);
}

Tensor pad(const Tensor& input, const IntList& pad, const std::string& mode, const Operand& value) {
  OpScope op("pad");
  detail::graph_of({&input});
  const int64_t pairs = static_cast<int64_t>(pad.size()) / 2;
  PLAIT_CHECK(pad.size() % 2 == 0 && pairs <= input.rank(), op_name(),
              "pad holds (before, after) pairs from the last dim on; got {} numbers for {} of rank "
              "{}",
              pad.size(), to_string(input.type()), input.rank());
  PLAIT_CHECK(mode == "constant" || mode == "reflect" || mode == "replicate" || mode == "circular",
              op_name(), "mode must be 'constant', 'reflect', 'replicate' or 'circular'; got '{}'",
              mode);
  PLAIT_CHECK(!value.is_tensor() && !value.is_size(), op_name(), "value must be a number");
  Shape shape = input.shape();
  std::vector<Expr> map = axis_variables(input.rank());
  for (int64_t i = 0; i < pairs; ++i) {
    const int64_t axis = input.rank() - 1 - i;
    const int64_t before = pad[2 * i];
    const int64_t after = pad[2 * i + 1];
    check_pad_mode(input, mode, axis, before, after);
    const Expr size = shape[axis];
    shape[axis] = size + Expr(before + after);
    PLAIT_CHECK(prove_less(shape[axis], 0, {}) != true, op_name(),
                "a negative padding must not exceed the size; got {} and {} for {}; dim {} has "
                "size {}",
                before, after, to_string(input.type()), axis, to_string(size));
    map[axis] = padded_position(mode, map[axis], before, size);
  }
  return detail::reindex(input, shape, std::move(map), value.number());
}

Tensor tril(const Tensor& input, int64_t diagonal) {
  OpScope op("tril");
  detail::graph_of({&input});
  PLAIT_CHECK(input.rank() >= 2, op_name(), "at least 2 dims are needed; got {}",
              to_string(input.type()));
  return where(detail::below_diagonal(input, diagonal), input, 0);
}

Tensor triu(const Tensor& input, int64_t diagonal) {
  OpScope op("triu");
  detail::graph_of({&input});
  PLAIT_CHECK(input.rank() >= 2, op_name(), "at least 2 dims are needed; got {}",
              to_string(input.type()));
  return where(detail::below_diagonal(input, diagonal - 1), 0, input);
}

std::vector<OpRecord> joining_ops() {
  return {
      {
          .signature = "cat(Tensor[] tensors, int dim=0) -> Tensor",
          .doc = "Joins tensors along a dim; the other sizes must agree. Dtypes are promoted.",
          .composition = compose<&cat>,
          .oracle = "np.concatenate(tensors, dim)",
          .samples = {"([randn(3, 5), randn(2, 5)],)", "([randn(3, 5), randn(3, 1)], -1)",
                      "([randn(4)],)", "([randn(0, 3), randn(2, 3)],)", "([arange(3), randn(2)],)"},
      },
      {
          .signature = "stack(Tensor[] tensors, int dim=0) -> Tensor",
          .doc = "Joins tensors of one shape along a new dim. Dtypes are promoted.",
          .composition = compose<&stack>,
          .oracle = "np.stack(tensors, dim)",
          .samples = {"([randn(3, 5), randn(3, 5)],)", "([randn(3), randn(3), randn(3)], -1)",
                      "([randn(), randn()],)", "([randn(0), randn(0)],)"},
      },
      {
          .signature = "split(Tensor tensor, int[] split_size_or_sections, int dim=0) -> Tensor[]",
          .doc = "Parts of one size (the last may be smaller), or of the sizes in a list that adds "
                 "up to the dim.",
          .composition = compose<&split>,
          .oracle = "np.split(tensor, np.arange(split_size_or_sections[0], tensor.shape[dim], "
                    "split_size_or_sections[0]) if len(split_size_or_sections) == 1 else "
                    "np.cumsum(split_size_or_sections)[:-1], dim)",
          .samples = {"(randn(7, 3), 3)", "(randn(3, 6), [1, 2, 3], 1)", "(randn(6), 2)",
                      "(randn(3, 4), 10, -1)"},
      },
      {
          .signature = "chunk(Tensor input, int chunks, int dim=0) -> Tensor[]",
          .doc = "At most `chunks` parts of one size (the last may be smaller).",
          .composition = compose<&chunk>,
          .oracle = "np.split(input, np.arange(-(-input.shape[dim] // chunks), input.shape[dim], "
                    "-(-input.shape[dim] // chunks)), dim)",
          .samples = {"(randn(7, 3), 3)", "(randn(3, 6), 3, 1)", "(randn(5), 4)"},
      },
      {
          .signature = "unbind(Tensor input, int dim=0) -> Tensor[]",
          .doc = "All positions of a dim, which disappears.",
          .composition = compose<&unbind>,
          .oracle = "[np.take(input, i, dim) for i in range(input.shape[dim])]",
          .samples = {"(randn(3, 5),)", "(randn(3, 2), 1)"},
      },
      {
          .signature = "repeat(Tensor input, int[] repeats) -> Tensor",
          .doc = "The tensor repeats[i] times along dim i; more numbers than dims add dims in "
                 "front.",
          .composition = compose<&repeat>,
          .oracle = "np.tile(input, repeats)",
          .samples = {"(randn(3, 5), [2, 1])", "(randn(3), [2, 3])", "(randn(), [3])",
                      "(randn(2, 3), [0, 1])", "(randn(0, 3), [2, 2])"},
      },
      {
          .signature = "tile(Tensor input, int[] dims) -> Tensor",
          .doc = "`repeat` that takes fewer numbers than dims: the first dims then stay.",
          .composition = compose<&tile>,
          .oracle = "np.tile(input, dims)",
          .samples = {"(randn(3, 5), 2)", "(randn(3), [2, 3])", "(randn(2, 3, 4), [2, 1])"},
      },
      {
          .signature = "repeat_interleave(Tensor input, int repeats, int? dim=None) -> Tensor",
          .doc = "Each element `repeats` times in a row along a dim (of the flat tensor without "
                 "it).",
          .composition = compose<&repeat_interleave>,
          .oracle = "np.repeat(input, repeats, dim)",
          .samples = {"(randn(3, 5), 2, 0)", "(randn(3, 5), 3, -1)", "(randn(2, 3), 2)",
                      "(randn(0, 3), 2, 0)"},
      },
      {
          .signature = "pad(Tensor input, int[] pad, str mode='constant', Operand value=0) -> "
                       "Tensor",
          .doc = "Pads with (before, after) pairs that start at the last dim: with `value`, by "
                 "reflection without the edge, by the edge ('replicate'), or around ('circular'). "
                 "Negative numbers cut.",
          .composition = compose<&pad>,
          .oracle = R"(
pairs = [(pad[2 * i], pad[2 * i + 1]) for i in range(len(pad) // 2)]
pairs = [(0, 0)] * (input.ndim - len(pairs)) + pairs[::-1]
keep = [slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(pairs, input.shape)]
input = input[tuple(keep)]
pairs = [(max(a, 0), max(b, 0)) for a, b in pairs]
if mode == 'constant':
    return np.pad(input, pairs, constant_values=value)
names = {'reflect': 'reflect', 'replicate': 'edge', 'circular': 'wrap'}
return np.pad(input, pairs, mode=names[mode])
)",
          .samples = {"(randn(3, 5), [1, 2])", "(randn(3, 5), [1, 0, 0, 2], value=7.0)",
                      "(randn(3, 5), [-1, 2])", "(randn(3, 5), [2, 3, 1, 2], 'reflect')",
                      "(randn(3, 5), [2, 3, 1, 2], 'replicate')",
                      "(randn(3, 5), [2, 3, 1, 2], 'circular')", "(randn(0, 3), [1, 1, 1, 0])",
                      "(arange(3), [1, 1], value=-1)"},
      },
      {
          .signature = "tril(Tensor input, int diagonal=0) -> Tensor",
          .doc = "The lower triangle of the last two dims, up to `diagonal`; 0 above.",
          .composition = compose<&tril>,
          .oracle = "np.tril(input, diagonal)",
          .samples = {"(randn(3, 5),)", "(randn(2, 4, 4), 1)", "(randn(5, 3), -2)",
                      "(randn(0, 3),)", "(full((3, 3), inf),)"},
      },
      {
          .signature = "triu(Tensor input, int diagonal=0) -> Tensor",
          .doc = "The upper triangle of the last two dims, from `diagonal` on; 0 below.",
          .composition = compose<&triu>,
          .oracle = "np.triu(input, diagonal)",
          .samples = {"(randn(3, 5),)", "(randn(2, 4, 4), 1)", "(randn(5, 3), -2)",
                      "(randn(0, 3),)", "(full((3, 3), inf),)"},
      },
  };
}

}  // namespace plait
