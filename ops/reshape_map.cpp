#include "ops/reshape_map.h"

#include <algorithm>

#include "core/index/simplify.h"

namespace plait::detail {
namespace {

// A product as a number times symbols (or other expressions that are no products).
struct Factors {
  int64_t number = 1;
  std::vector<Expr> others;
};

Factors factors_of(const Shape& shape) {
  Factors factors;
  std::vector<Expr> pending(shape.begin(), shape.end());
  while (!pending.empty()) {
    const Expr e = pending.back();
    pending.pop_back();
    if (const std::optional<int64_t> number = e.constant()) {
      factors.number *= *number;
    } else if (e.kind() == ExprKind::mul) {
      pending.insert(pending.end(), e.operands().begin(), e.operands().end());
    } else {
      factors.others.push_back(e);
    }
  }
  return factors;
}

std::vector<size_t> stretched_axes(const Shape& shape) {
  std::vector<size_t> axes;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!shape[i].is_constant(1)) axes.push_back(i);
  }
  return axes;
}

// A run of axes [begin, end) of each shape.
struct Run {
  size_t from_end, to_end;
};

Run shortest_run(const Shape& from, const std::vector<size_t>& from_axes, size_t from_begin,
                 const Shape& to, const std::vector<size_t>& to_axes, size_t to_begin) {
  std::vector<Expr> products;
  Expr product = 1;
  for (size_t j = to_begin; j < to_axes.size(); ++j) {
    product = product * to[to_axes[j]];
    products.push_back(product);
  }
  product = 1;
  for (size_t i = from_begin; i < from_axes.size(); ++i) {
    product = product * from[from_axes[i]];
    for (size_t j = 0; j < products.size(); ++j) {
      if (prove_equal(product, products[j], {}) == true) return {i + 1, to_begin + j + 1};
    }
  }
  return {from_axes.size(), to_axes.size()};
}

}  // namespace

std::vector<Expr> reshape_map(const Shape& from, const Shape& to) {
  std::vector<Expr> map(from.size());
  if (element_count(from).is_constant(0)) return map;
  const std::vector<size_t> from_axes = stretched_axes(from);
  const std::vector<size_t> to_axes = stretched_axes(to);
  size_t i = 0;
  size_t j = 0;
  while (i < from_axes.size() || j < to_axes.size()) {
    const Run run = shortest_run(from, from_axes, i, to, to_axes, j);
    Expr rest = 0;
    for (; j < run.to_end; ++j) {
      rest = rest * to[to_axes[j]] + Expr::variable(static_cast<uint32_t>(to_axes[j]));
    }
    for (size_t k = run.from_end; k-- > i;) {
      const Expr size = from[from_axes[k]];
      map[from_axes[k]] = k == i ? rest : mod(rest, size);
      if (k != i) rest = floor_div(rest, size);
    }
    i = run.from_end;
  }
  return map;
}

std::optional<Expr> exact_quotient(const Shape& total, const Shape& known) {
  Factors above = factors_of(total);
  Factors below = factors_of(known);
  for (Expr e : below.others) {
    const auto same = std::find(above.others.begin(), above.others.end(), e);
    if (same == above.others.end()) return std::nullopt;
    above.others.erase(same);
  }
  if (below.number == 0 || above.number % below.number != 0) return std::nullopt;
  above.others.push_back(Expr(above.number / below.number));
  return product(above.others);
}

}  // namespace plait::detail
