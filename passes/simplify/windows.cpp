// A sum over windows of a sum of products: one sum of products, so that the gradient of a
// convolution by its input is a convolution again and its parts are never stored. Where the view
// fills with 0 the joined sum has products with 0, which a NaN or an infinity of the other factor
// turns into NaN: docs/numerics.md.
#include <algorithm>

#include "passes/fusion/contraction.h"
#include "passes/simplify/simplifier.h"

namespace plait {
namespace {

// How many more products the joined sum may have: where it reads fills, they are zeros.
constexpr double kMostProducts = 2;

// sum[windows] of view(sum[inner] of left * right), each of them used once.
struct Pattern {
  Value view, sum, product;
  // The map of the view by axes of the sum, and indices that must be 0.
  std::vector<Expr> map, guards;
};

// Whether an index moves with a summed axis and with one of the result: else each element of the
// sum below is read once, and two sums in turn are less work than one.
bool slides(const std::vector<Expr>& map, const std::vector<int64_t>& summed) {
  return std::ranges::any_of(map, [&](Expr e) {
    bool by_window = false, by_result = false;
    for (uint32_t axis : variables_of(e)) {
      const bool is_summed = std::ranges::find(summed, axis) != summed.end();
      (is_summed ? by_window : by_result) = true;
    }
    return by_window && by_result;
  });
}

bool is_sum(const Node& node) {
  return node.op == MetaOp::reduce && node.reduce() == ReduceOp::sum;
}

std::optional<Pattern> match(const Graph& graph, const Node& node,
                             const std::vector<uint32_t>& uses) {
  if (!is_sum(node)) return std::nullopt;
  Pattern pattern{node.operands[0], kNoValue, kNoValue, {}, {}};
  const Node& view = graph.node(pattern.view);
  if (view.op != MetaOp::reindex || view.operands.size() != 1 || uses[pattern.view] != 1 ||
      view.attributes.out_of_range != OutOfRange::fill ||
      view.attributes.fill != Scalar(view.type.dtype, 0) ||
      !slides(view.attributes.map, node.attributes.axes)) {
    return std::nullopt;
  }
  pattern.sum = view.operands[0];
  std::vector<int64_t> axes;  // of the view's operand, by axis of the sum
  const Node& below = graph.node(pattern.sum);
  if (below.op == MetaOp::broadcast) {
    if (uses[pattern.sum] != 1) return std::nullopt;
    pattern.sum = below.operands[0];
    axes = below.attributes.axes;
  }
  const Node& sum = graph.node(pattern.sum);
  if (!is_sum(sum) || uses[pattern.sum] != 1) return std::nullopt;
  if (below.op != MetaOp::broadcast) {
    for (size_t k = 0; k < sum.type.rank(); ++k) axes.push_back(static_cast<int64_t>(k));
  }
  pattern.product = sum.operands[0];
  if (uses[pattern.product] != 1 || !fusion::match_contraction(graph, pattern.sum)) {
    return std::nullopt;
  }
  const Shape& shape = graph.type(view.operands[0]).shape;
  pattern.map.resize(axes.size());
  for (size_t k = 0; k < shape.size(); ++k) {
    const auto axis = std::find(axes.begin(), axes.end(), static_cast<int64_t>(k));
    if (axis != axes.end()) {
      const auto at = static_cast<size_t>(axis - axes.begin());
      if (sum.type.shape[at] != shape[k]) return std::nullopt;
      pattern.map[at] = view.attributes.map[k];
    } else if (shape[k].is_constant(1)) {
      pattern.guards.push_back(view.attributes.map[k]);
    } else {
      return std::nullopt;
    }
  }
  return pattern;
}

// The number by which `e` divides expressions with the variable, or 1.
int64_t step_of(Expr e, uint32_t variable) {
  const bool divides = e.kind() == ExprKind::floor_div || e.kind() == ExprKind::mod;
  if (divides && contains_variable(e.operands()[0], variable)) {
    return e.operands()[1].constant().value_or(1);
  }
  for (Expr operand : e.operands()) {
    const int64_t step = step_of(operand, variable);
    if (step > 1) return step;
  }
  return 1;
}

double count(const Shape& shape) {
  double result = 1;
  for (Expr extent : shape) {
    result *= static_cast<double>(bounds(extent, {}).hi.value_or(1 << 20));
  }
  return result;
}

class Join {
 public:
  Join(const Graph& old, const Node& outer, const Pattern& pattern, Graph& g,
       const std::vector<Value>& fresh)
      : old_(old), outer_(outer), pattern_(pattern), g_(g), fresh_(fresh) {}

  std::optional<Value> run() {
    if (!make_space()) return std::nullopt;
    if (count(space_) > kMostProducts * count(old_.type(pattern_.product).shape)) {
      return std::nullopt;
    }
    const Node& product = old_.node(pattern_.product);
    const std::optional<Value> left = factor(product.operands[0]);
    const std::optional<Value> right = factor(product.operands[1]);
    if (!left || !right) return std::nullopt;
    for (size_t k = 0; k < guarded_.size(); ++k) {
      if (guarded_[k]) return std::nullopt;  // no factor knows that index
    }
    if (!guards_.empty()) return std::nullopt;
    const Value joined =
        meta::reduce(g_, ReduceOp::sum, meta::binary(g_, BinaryOp::mul, *left, *right), reduced_);
    if (back_.size() == g_.type(joined).rank() && !split_) return joined;
    return meta::reindex(g_, joined, outer_.type.shape, back_, Scalar(g_.type(joined).dtype, 0));
  }

 private:
  // The joined product's axes: those of the result, an axis that maps divide in two; the inner
  // sum's; the windows.
  // False where an axis does not divide.
  bool make_space() {
    const Node& view = old_.node(pattern_.view);
    const std::vector<int64_t>& windows = outer_.attributes.axes;
    Substitution substitution;
    std::vector<uint32_t> window_axes;
    auto append = [&](Expr extent) {
      space_.push_back(extent);
      ranges_.set(static_cast<uint32_t>(space_.size() - 1), extent);
      return Expr::variable(static_cast<uint32_t>(space_.size() - 1));
    };
    uint32_t kept = 0;
    for (uint32_t axis = 0; axis < view.type.rank(); ++axis) {
      if (std::find(windows.begin(), windows.end(), axis) != windows.end()) {
        window_axes.push_back(axis);
        continue;
      }
      const Expr extent = view.type.shape[axis];
      int64_t step = 1;
      for (Expr e : pattern_.map) step = std::max(step, step_of(e, axis));
      const Expr here = Expr::variable(kept++);
      if (!is_multiple_of(extent, step)) return false;
      if (step == 1) {
        substitution.emplace(axis, append(extent));
        back_.push_back(here);
        continue;
      }
      split_ = true;
      const Expr high = append(floor_div(extent, step));
      const Expr low = append(step);
      substitution.emplace(axis, step * high + low);
      back_.push_back(floor_div(here, step));
      back_.push_back(mod(here, step));
    }
    const Node& sum = old_.node(pattern_.sum);
    const Shape& inner = old_.type(pattern_.product).shape;
    std::vector<Expr> summed;
    for (int64_t axis : sum.attributes.axes) {
      reduced_.push_back(static_cast<int64_t>(space_.size()));
      summed.push_back(append(inner[axis]));
    }
    for (uint32_t axis : window_axes) {
      reduced_.push_back(static_cast<int64_t>(space_.size()));
      substitution.emplace(axis, append(view.type.shape[axis]));
    }
    auto at = [&](Expr e) { return plait::simplify(substitute(e, substitution), ranges_); };
    size_t outside = 0, gone = 0;
    for (size_t k = 0; k < inner.size(); ++k) {
      const bool is_summed =
          gone < summed.size() && sum.attributes.axes[gone] == static_cast<int64_t>(k);
      tuple_.push_back(is_summed ? summed[gone++] : at(pattern_.map[outside++]));
      const bool below = prove_less(tuple_.back(), inner[k], ranges_) == true;
      guarded_.push_back(!below || prove_less(-1, tuple_.back(), ranges_) != true);
    }
    for (Expr guard : pattern_.guards) {
      const Expr e = at(guard);
      if (!e.is_constant(0)) guards_.push_back(e);
    }
    return true;
  }

  // The factor over the joined space: zero where an index that it knows is outside.
  std::optional<Value> factor(Value v) {
    const Node& node = old_.node(v);
    const bool copy = node.op == MetaOp::broadcast;
    const Value source = copy ? node.operands[0] : v;
    const Shape& shape = old_.type(source).shape;
    std::vector<Expr> map;
    std::vector<uint32_t> known;
    for (size_t k = 0; k < shape.size(); ++k) {
      const auto axis = copy ? static_cast<size_t>(node.attributes.axes[k]) : k;
      if (shape[k] == node.type.shape[axis]) {
        map.push_back(tuple_[axis]);
        guarded_[axis] = false;
        for (uint32_t variable : variables_of(tuple_[axis])) known.push_back(variable);
      } else if (shape[k].is_constant(1)) {
        map.push_back(0);
      } else {
        return std::nullopt;
      }
    }
    // An index that must be 0 is one more, of an axis of one element.
    Shape with_guards = shape;
    std::vector<int64_t> axes;
    for (size_t k = 0; k < shape.size(); ++k) axes.push_back(static_cast<int64_t>(k));
    std::erase_if(guards_, [&](Expr guard) {
      const std::vector<uint32_t> used = variables_of(guard);
      const bool mine = std::all_of(used.begin(), used.end(), [&](uint32_t variable) {
        return std::find(known.begin(), known.end(), variable) != known.end();
      });
      if (mine) with_guards.push_back(1), map.push_back(guard);
      return mine;
    });
    Value x = fresh_[source];
    if (with_guards.size() > shape.size()) x = meta::broadcast(g_, x, with_guards, axes);
    return meta::reindex(g_, x, space_, std::move(map), Scalar(node.type.dtype, 0));
  }

  const Graph& old_;
  const Node& outer_;
  const Pattern& pattern_;
  Graph& g_;
  const std::vector<Value>& fresh_;
  Shape space_;
  Ranges ranges_;
  std::vector<int64_t> reduced_;
  std::vector<Expr> tuple_;    // of the old product, over the space
  std::vector<bool> guarded_;  // by axis of the product: may be outside, and no factor asks
  std::vector<Expr> guards_;   // that no factor asks for
  std::vector<Expr> back_;     // from the result to the joined sum
  bool split_ = false;
};

}  // namespace

Graph join_window_sums(const Graph& graph) {
  const std::vector<uint32_t> uses = use_counts(graph);
  std::vector<Value> map(graph.size(), kNoValue);
  return sweep(graph, [&](Graph& g, Value v, std::vector<Value> operands) {
    const Node& node = graph.node(v);
    std::optional<Value> joined;
    if (const auto pattern = match(graph, node, uses)) {
      joined = Join(graph, node, *pattern, g, map).run();
    }
    map[v] = joined ? *joined : g.add(node.op, std::move(operands), node.attributes, node.type);
    return map[v];
  });
}

}  // namespace plait
