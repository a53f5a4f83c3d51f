#include "jit/lower/product_end.h"

#include <algorithm>

#include "jit/lower/prefetch.h"
#include "passes/fusion/roles.h"

namespace plait::lower {

void each_in_row(Values& values, Expr vectors, int64_t lanes,
                 const std::function<void(Expr in_row)>& body) {
  values.loop(LoopKind::serial, vectors, [&](Expr j) {
    values.loop(LoopKind::vector, lanes, [&](Expr lane) { body(j * lanes + lane); });
  });
}

ProductEnd::ProductEnd(const NestContext& context, ProductAxes& axes)
    : context_(context),
      axes_(axes),
      values_(context.values),
      builder_(context.values.builder()),
      product_(context.nest.contraction->reduce),
      digits_(digits_of_results(context.graph, context.plan, context.nest, product_, axes.n,
                                axes.extents)),
      elements_(result_elements(context.graph, context.plan, context.nest)) {
  for (const fusion::Member& member : context.nest.members) {
    cost_ += fusion::operation_cost(context.graph.node(member.value));
  }
}

void ProductEnd::prefetch(Expr row, Expr column, const Tiling& tiling) {
  values_.loop(LoopKind::serial, tiling.rows, [&](Expr i) {
    for (const ResultElement& element : elements_) {
      auto index_at = [&](Expr at_column) {
        axes_.set(axes_.m, values_.simplified(row + i));
        axes_.set(axes_.n, values_.simplified(at_column));
        const Shape& shape = context_.graph.type(element.value).shape;
        return values_.simplified(linear_index(shape, axes_.at(element.tuple)));
      };
      const Expr first = index_at(column);
      const bool in_row = values_.simplified(index_at(column + 1) - first).is_constant(1);
      const std::vector<uint32_t> variables = variables_of(first);
      const bool by_row = std::find(variables.begin(), variables.end(), i.id()) != variables.end();
      if (!in_row || !by_row) continue;
      const BufferId buffer = values_.buffer_of(element.value, element.written);
      prefetch_lines(values_, buffer, first, tiling.columns());
    }
  });
}

void ProductEnd::store(Expr row, Expr column, const std::function<ValueId()>& product) {
  values_.when_less(column, axes_.n.extent, [&] {
    axes_.set(axes_.m, values_.simplified(row));
    axes_.set(axes_.n, values_.simplified(column));
    store_here(product());
  });
}

void ProductEnd::store_rows(const SumsPlace& sums, Expr row, Expr column, Expr vectors,
                            const Tiling& tiling) {
  const Expr rows = values_.simplified(min(Expr(tiling.rows), axes_.m.extent - row));
  if (cuts_vectors()) return store_cuts(sums, row, rows, column, vectors, tiling.vector);
  values_.loop(LoopKind::serial, rows, [&](Expr i) {
    each_in_row(values_, vectors, tiling.vector, [&](Expr in_row) {
      const Expr at = values_.simplified(sums.at + i * sums.pitch + in_row);
      store(row + i, column + in_row, [&] { return builder_.load(sums.buffer, at); });
    });
  });
}

// Vectors of the result that are cut where its last digit starts anew.
void ProductEnd::store_cuts(const SumsPlace& sums, Expr row, Expr rows, Expr column, Expr vectors,
                            int64_t lanes) {
  values_.loop(LoopKind::serial, vectors, [&](Expr j) {
    const Expr in_row = j * lanes;
    const Cut cut = cut_lanes(values_, digits_, values_.simplified(column + in_row), lanes);
    values_.loop(LoopKind::serial, rows, [&](Expr i) {
      const Expr at = values_.simplified(sums.at + i * sums.pitch + in_row);
      values_.loop(LoopKind::vector, lanes, [&](Expr lane) {
        each_piece(values_, cut, lane, [&](const std::vector<Expr>& digits) {
          axes_.set(axes_.m, values_.simplified(row + i));
          for (size_t d = 0; d < digits.size(); ++d) axes_.set(digits_.axes[d], digits[d]);
          store_here(builder_.load(sums.buffer, at + lane));
        });
      });
    });
  });
}

void ProductEnd::store_here(ValueId product) {
  values_.define(product_, axes_.at(tuple_of(product_)), product);
  for (Value v : context_.nest.stores) {
    const Tuple tuple = axes_.at(tuple_of(v));
    values_.store(v, tuple, values_.at(v, tuple));
  }
}

const Tuple& ProductEnd::tuple_of(Value v) const {
  const std::vector<fusion::Member>& members = context_.nest.members;
  return std::find_if(members.begin(), members.end(),
                      [&](const fusion::Member& member) { return member.value == v; })
      ->tuple;
}

}  // namespace plait::lower
