// Nests of one value that nothing is fused with: scatter, scan, sort.
#include <algorithm>

#include "core/error.h"
#include "jit/lower/nests.h"
#include "jit/lower/reduction.h"
#include "passes/fusion/roles.h"

namespace plait::lower {
namespace {

using kernel::Op;

constexpr int64_t kBlock = 4096;  // elements that one iteration of a copy moves

// The row-major digits of `index` in `shape`.
Tuple digits(const Values& values, Expr index, const Shape& shape) {
  Tuple tuple(shape.size());
  for (size_t k = shape.size(); k-- > 0;) {
    tuple[k] = values.simplified(k == 0 ? index : mod(index, shape[k]));
    index = floor_div(index, shape[k]);
  }
  return tuple;
}

// A phase over all elements of `shape`, in vectors; `body` gets the flat index.
void each_element(Values& values, const Shape& shape, const std::function<void(Expr)>& body) {
  const Expr count = element_count(shape);
  values.phase(values.simplified(ceil_div(count, kBlock)), 1000, [&](Expr p) {
    const Expr start = p * kBlock;
    vector_strip(values, values.simplified(min(Expr(kBlock), count - start)),
                 [&](Expr index, Expr) { body(values.simplified(start + index)); });
  });
}

class ScatterLowering {
 public:
  explicit ScatterLowering(const NestContext& context)
      : graph_(context.graph),
        value_(context.nest.members.front().value),
        node_(context.graph.node(value_)),
        updates_(context.graph.type(node_.operands[1])),
        values_(context.values),
        builder_(context.values.builder()),
        reducer_(builder_, node_.reduce(), node_.type.dtype) {}

  void run() {
    values_.set_computed_here({{value_, {}, {}}});
    const DType sum = reducer_.dtypes()[0];
    const bool direct = node_.attributes.replace || sum == node_.type.dtype;
    destination_ = direct ? values_.buffer_of(value_, true)
                          : values_.workspace(sum, element_count(node_.type.shape));
    // Updates read what they add to.
    if (direct && !node_.attributes.replace) values_.buffer_of(value_, false);
    each_element(values_, node_.type.shape, [&](Expr index) {
      const Tuple tuple = digits(values_, index, node_.type.shape);
      const ValueId old = values_.at(node_.operands[0], tuple);
      const DType dtype = builder_.kernel().buffers[destination_].dtype;
      builder_.store(destination_, index, builder_.cast(dtype, old));
    });
    find_free_axes();
    scatter();
    if (direct) return;
    each_element(values_, node_.type.shape, [&](Expr index) {
      values_.store(value_, digits(values_, index, node_.type.shape),
                    builder_.load(destination_, index));
    });
  }

 private:
  // An update axis that is, as it is, one destination axis and in no other: updates of different
  // positions along it never meet.
  void find_free_axes() {
    for (uint32_t axis = 0; axis < updates_.rank(); ++axis) {
      size_t alone = 0, elsewhere = 0;
      for (Expr e : node_.attributes.map) {
        if (e == Expr::variable(axis)) {
          ++alone;
        } else if (contains_variable(e, axis)) {
          ++elsewhere;
        }
      }
      free_.push_back(alone >= 1 && elsewhere == 0 && !reads_along(axis));
    }
  }

  bool reads_along(uint32_t axis) const {
    return std::any_of(node_.attributes.map.begin(), node_.attributes.map.end(), [&](Expr e) {
      bool found = false;
      replace_elements(e, [&](uint32_t, std::span<const Expr> indices) {
        for (Expr index : indices) found = found || contains_variable(index, axis);
        return Expr();
      });
      return found;
    });
  }

  // Free axes in parallel, vectors along the last one if it is free, the others in source order.
  void scatter() {
    const size_t rank = updates_.rank();
    const bool lanes = rank > 0 && free_.back();
    std::vector<size_t> parallel, serial;
    for (size_t axis = 0; axis + (lanes ? 1 : 0) < rank; ++axis) {
      (free_[axis] ? parallel : serial).push_back(axis);
    }
    tuple_.assign(rank, Expr());
    Expr count = 1, steps = 1;
    for (size_t axis : parallel) count = count * updates_.shape[axis];
    for (size_t axis : serial) steps = steps * updates_.shape[axis];
    const Expr blocks = lanes ? ceil_div(updates_.shape.back(), kLanes) : Expr(1);
    const double cost = fusion::estimated_elements({steps}) * 10;
    values_.phase(values_.simplified(count * blocks), cost, [&](Expr p) {
      Expr rest = floor_div(p, blocks);
      for (size_t i = parallel.size(); i-- > 0;) {
        const Expr extent = updates_.shape[parallel[i]];
        tuple_[parallel[i]] = values_.simplified(i == 0 ? rest : mod(rest, extent));
        rest = floor_div(rest, extent);
      }
      serial_loops(serial, 0, lanes, values_.simplified(mod(p, blocks) * kLanes));
    });
  }

  void serial_loops(const std::vector<size_t>& axes, size_t next, bool lanes, Expr lane_base) {
    if (next < axes.size()) {
      values_.loop(LoopKind::serial, updates_.shape[axes[next]], [&](Expr i) {
        tuple_[axes[next]] = i;
        serial_loops(axes, next + 1, lanes, lane_base);
      });
    } else if (lanes) {
      values_.loop(LoopKind::vector, kLanes, [&](Expr lane) {
        values_.when_less(lane_base + lane, updates_.shape.back(), [&] {
          tuple_.back() = values_.simplified(lane_base + lane);
          update();
        });
      });
    } else {
      update();
    }
  }

  void update() {
    const Values::Target target = values_.scatter_target(value_, tuple_);
    target.when_inside([&] {
      const Expr address = values_.simplified(linear_index(node_.type.shape, target.tuple));
      const ValueId value = values_.at(node_.operands[1], tuple_);
      const DType dtype = builder_.kernel().buffers[destination_].dtype;
      ValueId after = builder_.cast(dtype, value);
      if (!node_.attributes.replace) {
        after = reducer_.combine({builder_.load(destination_, address)}, {after})[0];
      }
      builder_.store(destination_, address, after);
    });
  }

  const Graph& graph_;
  Value value_;
  const Node& node_;
  const Type& updates_;
  Values& values_;
  kernel::Builder& builder_;
  Reducer reducer_;
  BufferId destination_ = 0;
  std::vector<bool> free_;
  Tuple tuple_;
};

class ScanLowering {
 public:
  explicit ScanLowering(const NestContext& context)
      : value_(context.nest.members.front().value),
        node_(context.graph.node(value_)),
        values_(context.values),
        builder_(context.values.builder()),
        reducer_(builder_, node_.reduce(), node_.type.dtype) {}

  // Rows in parallel; along the axis one chain, in vectors over the last axis if that is another.
  void run() {
    values_.set_computed_here({{value_, {}, {}}});
    const Shape& shape = node_.type.shape;
    const auto axis = static_cast<size_t>(node_.attributes.axes[0]);
    const bool lanes = axis + 1 < shape.size();
    Shape rows = shape;
    rows[axis] = 1;
    if (lanes) rows.back() = ceil_div(shape.back(), kLanes);
    const BufferId total =
        values_.registers(reducer_.dtypes()[0], lanes ? kLanes : 1, lanes ? kLanes : 1);
    const double cost = fusion::estimated_elements({shape[axis]}) * 8;
    values_.phase(values_.simplified(element_count(rows)), cost, [&](Expr p) {
      Tuple tuple = digits(values_, p, rows);
      const Expr lane_base = lanes ? values_.simplified(tuple.back() * kLanes) : Expr();
      auto each = [&](const std::function<void(Expr)>& body) {
        if (!lanes) return body(Expr());
        values_.loop(LoopKind::vector, kLanes, [&](Expr lane) {
          values_.when_less(lane_base + lane, shape.back(), [&] {
            tuple.back() = values_.simplified(lane_base + lane);
            body(lane);
          });
        });
      };
      each([&](Expr lane) { builder_.store(total, lane, reducer_.identity()[0]); });
      values_.loop(LoopKind::serial, shape[axis], [&](Expr i) {
        tuple[axis] = values_.simplified(node_.attributes.reverse ? shape[axis] - 1 - i : i);
        each([&](Expr lane) {
          const ValueId x = values_.compute_at(node_.operands[0], tuple);
          const ValueId sum = reducer_.combine({builder_.load(total, lane)}, {x})[0];
          builder_.store(total, lane, sum);
          values_.store(value_, tuple, sum);
        });
      });
    });
  }

 private:
  Value value_;
  const Node& node_;
  Values& values_;
  kernel::Builder& builder_;
  Reducer reducer_;
};

// A stable merge sort of positions, bottom up. Merging places each element by its rank in the
// neighbouring run, found by bisection, so all loops have fixed lengths.
class SortLowering {
 public:
  explicit SortLowering(const NestContext& context)
      : graph_(context.graph),
        value_(context.nest.members.front().value),
        node_(context.graph.node(value_)),
        values_(context.values),
        builder_(context.values.builder()) {}

  void run() {
    values_.set_computed_here({{value_, {}, {}}});
    const Shape& shape = node_.type.shape;
    axis_ = static_cast<size_t>(node_.attributes.axes[0]);
    count_ = shape[axis_];
    Shape rows = shape;
    rows[axis_] = 1;
    const double n = fusion::estimated_elements({count_});
    const BufferId order[2] = {values_.local(DType::i64, count_),
                               values_.local(DType::i64, count_)};
    low_ = values_.registers(DType::i64, 1, 1);
    high_ = values_.registers(DType::i64, 1, 1);
    values_.phase(element_count(rows), n * 100, [&](Expr p) {
      tuple_ = digits(values_, p, rows);
      values_.loop(LoopKind::serial, count_,
                   [&](Expr i) { builder_.store(order[0], i, builder_.index(i)); });
      int from = 0;
      for (int64_t width = 1; static_cast<double>(width) < n; width *= 2) {
        merge_runs(order[from], order[1 - from], width);
        from = 1 - from;
      }
      values_.loop(LoopKind::serial, count_, [&](Expr i) {
        Tuple at = tuple_;
        at[axis_] = i;
        values_.store(value_, at, builder_.load(order[from], i));
      });
    });
  }

 private:
  ValueId key(Expr position) {
    Tuple at = tuple_;
    at[axis_] = position;
    return values_.compute_at(node_.operands[0], at);
  }

  // a before b: smaller (larger when descending), numbers before NaN.
  ValueId before(ValueId a, ValueId b) {
    const bool descending = node_.attributes.reverse;
    const ValueId less = descending ? builder_.binary(Op::lt, b, a) : builder_.binary(Op::lt, a, b);
    if (!is_float(graph_.type(node_.operands[0]).dtype)) return less;
    const ValueId b_nan = builder_.binary(Op::ne, b, b);
    const ValueId a_number = builder_.binary(Op::eq, a, a);
    return builder_.binary(Op::bit_or, less, builder_.binary(Op::bit_and, b_nan, a_number));
  }

  Expr bound_position(BufferId order, Expr slot) {
    return values_.bind(builder_.load(order, slot), count_);
  }

  void merge_runs(BufferId from, BufferId to, int64_t width) {
    values_.loop(LoopKind::serial, count_, [&](Expr i) {
      const Expr pair = floor_div(i, 2 * width) * (2 * width);
      const Expr in_pair = i - pair;
      const ValueId right =
          builder_.binary(Op::le, builder_.index(Expr(width)), builder_.index(in_pair));
      // The other run: [start, start + length).
      const ValueId start =
          builder_.select(right, builder_.index(pair), builder_.index(min(pair + width, count_)));
      const ValueId length = builder_.select(
          right, builder_.index(Expr(width)),
          builder_.index(min(pair + 2 * width, count_) - min(pair + width, count_)));
      const ValueId own = key(bound_position(from, i));
      builder_.store(low_, Expr(), builder_.index(Expr()));
      builder_.store(high_, Expr(), length);
      int64_t steps = 1;
      while ((int64_t{1} << steps) <= width) ++steps;
      values_.loop(LoopKind::serial, steps, [&](Expr) { bisect(from, start, right, own); });
      const ValueId rank = builder_.load(low_, Expr());
      const ValueId run_start =
          builder_.select(right, builder_.index(Expr(width)), builder_.index(Expr()));
      const ValueId slot = builder_.add(builder_.sub(builder_.index(i), run_start), rank);
      builder_.store(to, values_.bind(slot, count_), builder_.load(from, i));
    });
  }

  // Elements of a left run that equal one of the right run come first.
  void bisect(BufferId from, ValueId start, ValueId right, ValueId own) {
    const ValueId low = builder_.load(low_, Expr());
    const ValueId high = builder_.load(high_, Expr());
    values_.when(builder_.binary(Op::lt, low, high), [&] {
      const ValueId two = builder_.constant(Scalar(DType::i64, 2));
      const ValueId middle = builder_.binary(Op::div, builder_.add(low, high), two);
      const Expr slot = values_.bind(builder_.add(start, middle), count_);
      const ValueId other = key(bound_position(from, slot));
      const ValueId goes_first = builder_.select(
          right, builder_.unary(Op::bit_not, before(own, other)), before(other, own));
      const ValueId next = builder_.add(middle, builder_.constant(Scalar(DType::i64, 1)));
      builder_.store(low_, Expr(), builder_.select(goes_first, next, low));
      builder_.store(high_, Expr(), builder_.select(goes_first, high, middle));
    });
  }

  const Graph& graph_;
  Value value_;
  const Node& node_;
  Values& values_;
  kernel::Builder& builder_;
  size_t axis_ = 0;
  Expr count_;
  Tuple tuple_;
  BufferId low_ = 0, high_ = 0;
};

}  // namespace

void lower_scatter(const NestContext& context) { ScatterLowering(context).run(); }
void lower_scan(const NestContext& context) { ScanLowering(context).run(); }
void lower_sort(const NestContext& context) { SortLowering(context).run(); }

}  // namespace plait::lower
