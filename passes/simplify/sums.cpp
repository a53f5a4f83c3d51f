// Rules for sums, which need to know how often a term is used.
#include <algorithm>
#include <map>

#include "core/error.h"
#include "passes/fusion/contraction.h"
#include "passes/simplify/simplifier.h"

namespace plait {
namespace {

bool is_add(const Node& node) {
  return node.op == MetaOp::binary && node.binary() == BinaryOp::add;
}

std::optional<Scalar> uniform_value(const Graph& graph, Value v) {
  const Node* node = &graph.node(v);
  if (node->op == MetaOp::broadcast) node = &graph.node(node->operands[0]);
  if (node->op != MetaOp::constant || node->type.rank() != 0) return std::nullopt;
  return Scalar::load(node->type.dtype, node->attributes.data->data());
}

bool is_zero(const Graph& graph, Value v) {
  const std::optional<Scalar> value = uniform_value(graph, v);
  return value && *value == Scalar(value->dtype(), 0);
}

// A tensor set into zeros along one axis, from `begin` on.
struct Pad {
  Value source;
  int64_t axis;
  Expr begin, end;
};

std::optional<Pad> as_pad(const Graph& graph, Value v) {
  const Node& node = graph.node(v);
  if (node.op != MetaOp::reindex || node.operands.size() != 1 ||
      node.attributes.out_of_range != OutOfRange::fill ||
      node.attributes.fill != Scalar(node.type.dtype, 0)) {
    return std::nullopt;
  }
  const Shape& from = graph.type(node.operands[0]).shape;
  const Shape& to = node.type.shape;
  if (from.size() != to.size()) return std::nullopt;
  std::optional<Pad> pad;
  for (uint32_t i = 0; i < from.size(); ++i) {
    const Expr e = node.attributes.map[i];
    if (e == Expr::variable(i) && from[i] == to[i]) continue;
    if (e.is_constant(0) && from[i].is_constant(1) && to[i].is_constant(1)) continue;
    const Expr offset = Expr::variable(i) - e;
    if (pad || !variables_of(offset).empty() || contains_element(offset)) return std::nullopt;
    if (prove_less(-1, offset, {}) != true) return std::nullopt;
    if (prove_less(offset + from[i] - 1, to[i], {}) != true) return std::nullopt;
    pad = Pad{node.operands[0], i, offset, offset + from[i]};
  }
  return pad;
}

// The terms of the tree of sums below v whose inner sums have no other user, left to right.
std::vector<Value> terms_below(const Graph& graph, Value v, const std::vector<uint32_t>& uses) {
  std::vector<Value> terms;
  std::vector<Value> stack = {v};
  while (!stack.empty()) {
    const Value top = stack.back();
    stack.pop_back();
    if (is_add(graph.node(top)) && (top == v || uses[top] == 1)) {
      stack.push_back(graph.node(top).operands[1]);
      stack.push_back(graph.node(top).operands[0]);
    } else {
      terms.push_back(top);
    }
  }
  return terms;
}

// Disjoint pads along one axis in rising order, or nothing.
std::optional<std::vector<Pad>> disjoint_pads(const Graph& graph, const std::vector<Value>& terms) {
  std::vector<Pad> pads;
  for (Value term : terms) {
    const std::optional<Pad> pad = as_pad(graph, term);
    if (!pad || (!pads.empty() && pad->axis != pads[0].axis)) return std::nullopt;
    pads.push_back(*pad);
  }
  const auto before = [](const Pad& a, const Pad& b) {
    return prove_less(a.end - 1, b.begin, {}) == true;
  };
  // An order in which each ends before the next begins; insertion keeps it provable.
  std::vector<Pad> sorted;
  for (const Pad& pad : pads) {
    size_t place = 0;
    while (place < sorted.size() && before(sorted[place], pad)) ++place;
    if (place < sorted.size() && !before(pad, sorted[place])) return std::nullopt;
    sorted.insert(sorted.begin() + static_cast<std::ptrdiff_t>(place), pad);
  }
  return sorted;
}

}  // namespace

Graph join_pads(const Graph& graph) {
  const std::vector<uint32_t> uses = use_counts(graph);
  // A sum whose only user is a sum is joined there.
  std::vector<bool> inner(graph.size(), false);
  for (Value v = 0; v < graph.size(); ++v) {
    if (!is_add(graph.node(v))) continue;
    for (Value operand : graph.node(v).operands) {
      if (is_add(graph.node(operand)) && uses[operand] == 1) inner[operand] = true;
    }
  }
  std::vector<Value> map(graph.size(), kNoValue);
  return sweep(graph, [&](Graph& g, Value v, std::vector<Value> operands) {
    const Node& node = graph.node(v);
    const auto rewritten = [&]() -> std::optional<Value> {
      if (!is_add(node) || inner[v]) return std::nullopt;
      const auto pads = disjoint_pads(graph, terms_below(graph, v, uses));
      if (!pads) return std::nullopt;
      const int64_t axis = (*pads)[0].axis;
      std::vector<Value> parts;
      Expr position = 0;
      const auto fill_to = [&](Expr end) {
        if (position == end) return;
        Shape shape = node.type.shape;
        shape[axis] = end - position;
        parts.push_back(
            meta::broadcast_scalar(g, meta::constant(g, Scalar(node.type.dtype, 0)), shape));
      };
      for (const Pad& pad : *pads) {
        fill_to(pad.begin);
        parts.push_back(map[pad.source]);
        position = pad.end;
      }
      fill_to(node.type.shape[axis]);
      const Value joined = meta::concat(g, std::move(parts), axis);
      return g.type(joined) == node.type ? std::optional(joined) : std::nullopt;
    }();
    map[v] =
        rewritten ? *rewritten : g.add(node.op, std::move(operands), node.attributes, node.type);
    return map[v];
  });
}

Graph scatter_into_sums(const Graph& graph) {
  const std::vector<uint32_t> uses = use_counts(graph);
  const auto is_scatter_into_zeros = [&](Value v) {
    const Node& node = graph.node(v);
    return node.op == MetaOp::scatter && !node.attributes.replace &&
           node.reduce() == ReduceOp::sum && uses[v] == 1 && is_zero(graph, node.operands[0]);
  };
  std::vector<Value> map(graph.size(), kNoValue);
  return sweep(graph, [&](Graph& g, Value v, std::vector<Value> operands) {
    const Node& node = graph.node(v);
    map[v] = [&] {
      if (is_add(node) && node.operands[0] != node.operands[1]) {
        for (size_t k : {1, 0}) {
          if (!is_scatter_into_zeros(node.operands[k])) continue;
          const Node& scatter = graph.node(node.operands[k]);
          std::vector<Value> fresh = {operands[1 - k]};
          for (size_t i = 1; i < scatter.operands.size(); ++i) {
            fresh.push_back(map[scatter.operands[i]]);
          }
          return g.add(MetaOp::scatter, std::move(fresh), scatter.attributes, node.type);
        }
      }
      return g.add(node.op, std::move(operands), node.attributes, node.type);
    }();
    return map[v];
  });
}

namespace {

// The axis of x that each axis of `reindex` runs along, if it only permutes axes.
std::optional<std::vector<int64_t>> as_permutation(const Graph& graph, const Node& reindex) {
  const Shape& from = graph.type(reindex.operands[0]).shape;
  std::vector<int64_t> result(from.size(), -1);
  if (reindex.operands.size() != 1 || reindex.type.rank() != from.size()) return std::nullopt;
  for (size_t k = 0; k < from.size(); ++k) {
    const Expr e = reindex.attributes.map[k];
    if (e.kind() != ExprKind::variable || result[e.id()] >= 0) return std::nullopt;
    if (!(reindex.type.shape[e.id()] == from[k])) return std::nullopt;
    result[e.id()] = static_cast<int64_t>(k);
  }
  return result;
}

}  // namespace

Graph transpose_products(const Graph& graph) {
  const std::vector<uint32_t> uses = use_counts(graph);
  std::vector<bool> is_root(graph.size(), false);
  for (Value root : graph.roots()) {
    const Node& node = graph.node(root);
    is_root[node.op == MetaOp::assign ? node.operands[0] : root] = true;
  }
  std::vector<Value> map(graph.size(), kNoValue);
  return sweep(graph, [&](Graph& g, Value v, std::vector<Value> operands) {
    const Node& node = graph.node(v);
    const auto rewritten = [&]() -> std::optional<Value> {
      if (!is_root[v] || node.op != MetaOp::reindex || uses[node.operands[0]] != 1)
        return std::nullopt;
      const Value sum = node.operands[0];
      if (!fusion::match_contraction(graph, sum)) return std::nullopt;
      const auto axes = as_permutation(graph, node);
      const Node& reduce = graph.node(sum);
      const Node& product = graph.node(reduce.operands[0]);
      if (!axes || uses[reduce.operands[0]] != 1) return std::nullopt;
      // The product's axes: the result's in their new order, then the summed ones.
      std::vector<int64_t> kept, order, summed;
      for (int64_t k = 0; k < static_cast<int64_t>(product.type.rank()); ++k) {
        if (std::ranges::find(reduce.attributes.axes, k) == reduce.attributes.axes.end()) {
          kept.push_back(k);
        }
      }
      for (int64_t axis : *axes) order.push_back(kept[axis]);
      for (int64_t axis : reduce.attributes.axes) {
        summed.push_back(static_cast<int64_t>(order.size()));
        order.push_back(axis);
      }
      const Value left = meta::transpose(g, map[product.operands[0]], order);
      const Value right = meta::transpose(g, map[product.operands[1]], order);
      return meta::reduce(g, ReduceOp::sum, meta::binary(g, BinaryOp::mul, left, right), summed);
    }();
    map[v] =
        rewritten ? *rewritten : g.add(node.op, std::move(operands), node.attributes, node.type);
    return map[v];
  });
}

}  // namespace plait
