// Contractions: packed panels, a register tile, and the epilogue on the tile while it is hot.
#include <algorithm>

#include "core/error.h"
#include "core/reduction_order.h"
#include "jit/lower/axes.h"
#include "jit/lower/nests.h"
#include "jit/lower/tiling.h"
#include "passes/fusion/roles.h"

namespace plait::lower {
namespace {

using fusion::Member;

// Epilogues of at most this many operations are unrolled over the tile; others loop over it.
constexpr double kUnrolledEpilogue = 6;

class ContractionLowering {
 public:
  explicit ContractionLowering(const NestContext& context)
      : context_(context),
        graph_(context.graph),
        nest_(context.nest),
        contraction_(*context.nest.contraction),
        values_(context.values),
        builder_(context.values.builder()) {}

  void run() {
    values_.set_computed_here(nest_.members);
    prepare();
    if (!tiling_.pack_per_task) {
      packed_right_ = values_.workspace(dtype_, batch_ * panels_ * panel_size_);
      values_.phase(values_.simplified(batch_ * panels_), pack_cost(), [&](Expr p) {
        set_batch(floor_div(p, panels_));
        pack_panels(right_, mod(p, panels_), values_.simplified(p * panel_size_), 1);
      });
    }
    const Expr row_blocks = ceil_div(m_, tiling_.block_rows);
    const Expr groups = ceil_div(panels_, tiling_.group_panels);
    const Expr tasks = values_.simplified(batch_ * row_blocks * groups);
    allocate();
    values_.phase(tasks, task_cost(), [&](Expr p) {
      const Expr batch = floor_div(p, row_blocks * groups);
      const Expr block = mod(floor_div(p, groups), row_blocks);
      const Expr group = mod(p, groups);
      set_batch(batch);
      task(batch, values_.simplified(block * tiling_.block_rows),
           values_.simplified(group * tiling_.group_panels));
    });
  }

 private:
  // One factor of the product, and how its elements lie along its own axis (m or n) and along k.
  struct Factor {
    Value value;
    Tuple tuple;
    std::vector<uint32_t> axes;
    Expr extent;
    bool plain = false;  // one load of the compute dtype, always in range
    bool axis_contiguous = false, k_contiguous = false;
    int64_t width = 0;  // of a packed panel
    int64_t step = 0;   // from one panel to the next, along the factor's axis
  };

  // ---- preparation

  LoopAxis merged(const std::vector<uint32_t>& axes) const {
    LoopAxis result{axes, 1, false};
    for (uint32_t axis : axes) result.extent = result.extent * extents_[axis];
    return result;
  }

  void prepare() {
    extents_ = nest_.extents;
    extents_.insert(extents_.end(), contraction_.k_extents.begin(), contraction_.k_extents.end());
    axes_.assign(extents_.size(), Expr());
    dtype_ = compute_type(graph_.type(contraction_.left).dtype);
    batch_axis_ = merged(contraction_.batch);
    m_axis_ = merged(contraction_.m);
    n_axis_ = merged(contraction_.n);
    k_axis_ = merged(contraction_.k);
    batch_ = batch_axis_.extent;
    k_ = k_axis_.extent;
    left_ = {contraction_.left, contraction_.left_tuple, contraction_.m, m_axis_.extent};
    right_ = {contraction_.right, contraction_.right_tuple, contraction_.n, n_axis_.extent};
    examine(left_);
    examine(right_);
    // The factor with the longer contiguous axis of its own makes the better vector operand; both
    // orders give the same bits, a product commutes.
    if (swaps()) std::swap(left_, right_), std::swap(m_axis_, n_axis_);
    m_ = m_axis_.extent;
    n_ = n_axis_.extent;
    leaf_ = values_.simplified(contraction_leaf(k_));
    leaves_ = values_.simplified(ceil_div(k_, leaf_));
    left_direct_ = left_.plain && left_.k_contiguous;
    auto estimate = [](Expr e) { return fusion::estimated_elements({e}); };
    tiling_ = choose_tiling(context_.target, dtype_, estimate(batch_), estimate(m_), estimate(n_),
                            estimate(k_), left_direct_);
    // Packed rows fill whole vectors: the lanes past a tile's rows are the next rows, unused.
    left_.width = 1;
    while (left_.width < tiling_.rows) left_.width *= 2;
    left_.step = tiling_.rows;
    right_.width = tiling_.columns();
    right_.step = tiling_.columns();
    panels_ = values_.simplified(ceil_div(n_, tiling_.columns()));
    panel_size_ = values_.simplified(k_ * tiling_.columns());
    double epilogue = 0;
    for (const Member& member : nest_.members) {
      epilogue += fusion::operation_cost(graph_.node(member.value));
    }
    epilogue_cost_ = epilogue;
    const Expr most = Expr(tiling_.block_k);
    blocks_ = values_.simplified(ceil_div(leaf_, most));
    block_ = values_.simplified(ceil_div(leaf_, max(Expr(1), blocks_)));
    in_parts_ = !leaves_.is_constant(1) || !blocks_.is_constant(1);
    loops_epilogue_ = epilogue > kUnrolledEpilogue + 1 || in_parts_;
  }

  // Stores run along the right factor's axis; swap if the result's last axis is the left one's.
  bool swaps() const {
    const Member& result = member(contraction_.reduce);
    for (size_t i = result.tuple.size(); i-- > 0;) {
      for (uint32_t axis : variables_of(result.tuple[i])) {
        if (contains(contraction_.n, axis)) return false;
        if (contains(contraction_.m, axis)) return true;
      }
    }
    return false;
  }

  const Member& member(Value v) const {
    return *std::find_if(nest_.members.begin(), nest_.members.end(),
                         [&](const Member& candidate) { return candidate.value == v; });
  }

  static bool contains(const std::vector<uint32_t>& axes, uint32_t axis) {
    return std::find(axes.begin(), axes.end(), axis) != axes.end();
  }

  // Follows a factor through views and casts to its load.
  void examine(Factor& factor) {
    Ranges ranges;
    for (uint32_t axis = 0; axis < extents_.size(); ++axis) ranges.set(axis, extents_[axis]);
    Value v = factor.value;
    Tuple tuple = factor.tuple;
    factor.plain = true;
    while (!context_.plan.in_memory[v]) {
      const Node& node = graph_.node(v);
      const bool follows = node.op == MetaOp::broadcast || node.op == MetaOp::reindex ||
                           node.op == MetaOp::cast || node.op == MetaOp::detach;
      if (!follows || fusion::is_data_indexed(node)) {
        factor.plain = false;
        return;
      }
      tuple = fusion::operand_tuple(graph_, node, tuple, 0);
      if (node.op == MetaOp::cast) factor.plain = false;
      const Shape& shape = graph_.type(node.operands[0]).shape;
      for (size_t k = 0; k < tuple.size(); ++k) {
        tuple[k] = simplify(tuple[k], ranges);
        const Interval interval = bounds(tuple[k], ranges);
        const bool inside =
            interval.lo && *interval.lo >= 0 && prove_less(tuple[k], shape[k], ranges) == true;
        factor.plain = factor.plain && inside;
      }
      v = node.operands[0];
    }
    const Expr address = simplify(linear_index(graph_.type(v).shape, tuple), ranges);
    auto contiguous = [&](uint32_t axis) {
      const auto linear = linear_in(address, axis);
      return linear && linear->coefficient.is_constant(1);
    };
    factor.axis_contiguous = !factor.axes.empty() && contiguous(factor.axes.back());
    factor.k_contiguous = !contraction_.k.empty() && contiguous(contraction_.k.back());
  }

  void allocate() {
    const int64_t accumulators = tiling_.rows * tiling_.columns();
    const auto lanes = static_cast<uint32_t>(tiling_.vector);
    acc_ = values_.registers(dtype_, accumulators, lanes);
    held_ = values_.registers(dtype_, tiling_.columns(), lanes);
    const int64_t waiting = tiling_.block_rows / tiling_.rows * tiling_.chunk_panels;
    if (loops_epilogue_) tile_ = values_.local(dtype_, (in_parts_ ? waiting : 1) * accumulators);
    if (!leaves_.is_constant(1)) sum_ = values_.local(dtype_, waiting * accumulators);
    if (tiling_.pack_per_task) {
      packed_right_ = values_.local(dtype_, panel_size_ * tiling_.group_panels);
    }
    if (!left_direct_) {
      const int64_t tiles = tiling_.block_rows / tiling_.rows;
      packed_left_ = values_.local(dtype_, k_ * (tiles * left_.width));
    }
  }

  double pack_cost() const {
    return fusion::estimated_elements({k_}) * static_cast<double>(tiling_.columns()) * 0.2;
  }

  double task_cost() const {
    const double outputs =
        static_cast<double>(tiling_.block_rows * tiling_.group_panels * tiling_.columns());
    return outputs * (fusion::estimated_elements({k_}) * 0.02 + epilogue_cost_ * 0.2);
  }

  // ---- axes

  void set_axes(const LoopAxis& axis, Expr index) {
    if (!axis.group_axes.empty()) expand_axis(axis, index, extents_, axes_);
  }
  void set_batch(Expr index) { set_axes(batch_axis_, index); }

  Tuple at_axes(const Tuple& tuple) const {
    Substitution substitution;
    for (uint32_t k = 0; k < axes_.size(); ++k) substitution.emplace(k, axes_[k]);
    Tuple result;
    for (Expr e : tuple) result.push_back(values_.simplified(substitute(e, substitution)));
    return result;
  }

  ValueId element(const Factor& factor, Expr index, Expr k) {
    set_axes(&factor == &left_ ? m_axis_ : n_axis_, index);
    set_axes(k_axis_, k);
    return values_.compute_at(factor.value, at_axes(factor.tuple));
  }

  ValueId zero() { return builder_.constant(Scalar(dtype_, int64_t{0})); }

  // ---- packing

  // `count` panels from `first`: [panel][k][width], zero past the end of the factor's axis.
  void pack_panels(const Factor& factor, Expr first, Expr offset, Expr count) {
    const BufferId to = &factor == &left_ ? packed_left_ : packed_right_;
    const Expr size = k_ * factor.width;
    values_.loop(LoopKind::serial, count, [&](Expr p) {
      const Expr start = values_.simplified((first + p) * factor.step);
      const Expr base = values_.simplified(offset + p * size);
      if (factor.k_contiguous && !factor.axis_contiguous) {
        pack_transposed(factor, start, to, base);
      } else {
        pack_straight(factor, start, to, base);
      }
    });
  }

  // Vectors along the factor's own axis.
  void pack_straight(const Factor& factor, Expr start, BufferId to, Expr base) {
    values_.loop(LoopKind::serial, k_, [&](Expr k) {
      for (int64_t from = 0; from < factor.width; from += tiling_.vector) {
        const int64_t lanes = std::min(tiling_.vector, factor.width - from);
        values_.loop(LoopKind::vector, lanes, [&](Expr lane) {
          const Expr index = start + from + lane;
          const Expr slot = values_.simplified(base + k * factor.width + from + lane);
          store_padded(factor, index, k, to, slot);
        });
      }
    });
  }

  void store_padded(const Factor& factor, Expr index, Expr k, BufferId to, Expr slot) {
    const bool inside = prove_less(index, factor.extent, values_.ranges()) == true;
    if (!inside) builder_.store(to, slot, zero());
    values_.when_less(index, factor.extent, [&] {
      builder_.store(to, slot, element(factor, values_.simplified(index), k));
    });
  }

  // Squares of vectors along k, transposed in registers.
  void pack_transposed(const Factor& factor, Expr start, BufferId to, Expr base) {
    int64_t side = 1;
    while (side < tiling_.vector && side < factor.width) side *= 2;
    const BufferId square = values_.registers(dtype_, side * side, static_cast<uint32_t>(side));
    for (int64_t from = 0; from < factor.width; from += side) {
      values_.loop(LoopKind::serial, ceil_div(k_, side), [&](Expr kb) {
        values_.loop(LoopKind::unrolled, side, [&](Expr i) {
          load_row(factor, values_.simplified(start + from + i), kb * side, square, i * side, side);
        });
        builder_.transpose(square);
        values_.loop(LoopKind::unrolled, side, [&](Expr i) {
          const Expr k = values_.simplified(kb * side + i);
          values_.when_less(k, k_, [&] {
            const int64_t lanes = std::min(side, factor.width - from);
            values_.loop(LoopKind::vector, lanes, [&](Expr lane) {
              builder_.store(to, values_.simplified(base + k * factor.width + from + lane),
                             builder_.load(square, values_.simplified(i * side + lane)));
            });
          });
        });
      });
    }
  }

  void load_row(const Factor& factor, Expr index, Expr k, BufferId square, Expr row, int64_t side) {
    const bool inside = prove_less(index, factor.extent, values_.ranges()) == true;
    const bool whole = is_multiple_of(k_, side);
    auto each = [&](const std::function<void(Expr)>& body) {
      values_.loop(LoopKind::vector, side, body);
    };
    if (!inside || !whole) {
      each([&](Expr lane) { builder_.store(square, values_.simplified(row + lane), zero()); });
    }
    values_.when_less(index, factor.extent, [&] {
      each([&](Expr lane) {
        values_.when_less(k + lane, k_, [&] {
          builder_.store(square, values_.simplified(row + lane),
                         element(factor, index, values_.simplified(k + lane)));
        });
      });
    });
  }

  // ---- the product

  void task(Expr batch, Expr first_row, Expr first_panel) {
    const Expr rows_here = values_.simplified(min(Expr(tiling_.block_rows), m_ - first_row));
    const Expr tiles = values_.simplified(ceil_div(rows_here, tiling_.rows));
    const Expr panels = values_.simplified(min(Expr(tiling_.group_panels), panels_ - first_panel));
    if (tiling_.pack_per_task) pack_panels(right_, first_panel, Expr(), panels);
    if (!left_direct_) {
      pack_panels(left_, values_.simplified(floor_div(first_row, tiling_.rows)), Expr(), tiles);
    }
    const Expr right_base = tiling_.pack_per_task
                                ? Expr()
                                : values_.simplified((batch * panels_ + first_panel) * panel_size_);
    const Expr chunk = in_parts_ ? Expr(tiling_.chunk_panels) : panels;
    values_.loop(LoopKind::serial, ceil_div(panels, max(Expr(1), chunk)), [&](Expr c) {
      const Expr from = c * chunk;
      const Expr here = values_.simplified(min(chunk, panels - from));
      each_part([&](const Part& part) {
        values_.loop(LoopKind::serial, here, [&](Expr jp) {
          values_.loop(LoopKind::serial, tiles, [&](Expr ip) {
            const Expr tile = jp * (tiling_.block_rows / tiling_.rows) + ip;
            const Expr slot = tile * (tiling_.rows * tiling_.columns());
            multiply(first_row, ip, right_base + (from + jp) * panel_size_, part, slot);
            finish(part, values_.simplified(first_row + ip * tiling_.rows),
                   values_.simplified((first_panel + from + jp) * tiling_.columns()), slot);
          });
        });
      });
    });
  }

  // A block of a leaf of k.
  struct Part {
    Expr leaf, block;
    Expr start, length;
  };

  void each_part(const std::function<void(const Part&)>& body) {
    auto loop = [&](Expr count, const std::function<void(Expr)>& inside) {
      if (count.is_constant(1)) return inside(Expr());
      values_.loop(LoopKind::serial, count, inside);
    };
    loop(leaves_, [&](Expr q) {
      const Expr leaf_start = q * leaf_;
      const Expr leaf_length = values_.simplified(min(leaf_, k_ - leaf_start));
      loop(blocks_, [&](Expr b) {
        const Expr from = b * block_;
        const Expr length = values_.simplified(min(block_, leaf_length - from));
        body(
            {q, b, values_.simplified(leaf_start + from), values_.simplified(max(Expr(), length))});
      });
    });
  }

  Expr register_at(Expr row, Expr vector, Expr lane) const {
    return values_.simplified((row * tiling_.vectors + vector) * tiling_.vector + lane);
  }

  void each_vector(const std::function<void(Expr vector, Expr lane)>& body) {
    values_.loop(LoopKind::unrolled, tiling_.vectors, [&](Expr j) {
      values_.loop(LoopKind::vector, tiling_.vector, [&](Expr lane) { body(j, lane); });
    });
  }

  ValueId left_element(Expr first_row, Expr ip, Expr row, Expr k) {
    if (!left_direct_) {
      return builder_.load(packed_left_, values_.simplified((ip * k_ + k) * left_.width + row));
    }
    Expr index = first_row + ip * tiling_.rows + row;
    if (prove_less(index, m_, values_.ranges()) != true) index = min(index, m_ - 1);
    return element(left_, values_.simplified(index), k);
  }

  ValueId multiply_add(ValueId a, ValueId b, ValueId c) {
    return is_float(dtype_) ? builder_.fma(a, b, c) : builder_.add(builder_.mul(a, b), c);
  }

  void each_accumulator(const std::function<void(Expr at)>& body) {
    values_.loop(LoopKind::unrolled, tiling_.rows, [&](Expr i) {
      each_vector([&](Expr j, Expr lane) { body(register_at(i, j, lane)); });
    });
  }

  // `yes` where a == b, else `no`; without a branch where that is certain.
  void branch(Expr a, Expr b, const std::function<void()>& yes, const std::function<void()>& no) {
    if (values_.simplified(a - b).is_constant(0)) return yes();
    const ValueId equal = builder_.binary(kernel::Op::eq, builder_.index(values_.simplified(a)),
                                          builder_.index(values_.simplified(b)));
    values_.when(equal, yes);
    values_.when(builder_.unary(kernel::Op::bit_not, equal), no);
  }

  // The tile of registers over one part of k: a leaf's first block starts at zero, the others where
  // the block before stopped. The smaller operand is held; the other streams.
  void multiply(Expr first_row, Expr ip, Expr right_base, const Part& part, Expr slot) {
    branch(
        part.block, 0,
        [&] { each_accumulator([&](Expr at) { builder_.store(acc_, at, zero()); }); },
        [&] {
          each_accumulator([&](Expr at) {
            builder_.store(acc_, at, builder_.load(tile_, values_.simplified(slot + at)));
          });
        });
    auto right = [&](Expr k, Expr j, Expr lane) {
      return builder_.load(packed_right_, values_.simplified(right_base + k * tiling_.columns() +
                                                             j * tiling_.vector + lane));
    };
    auto update = [&](Expr i, Expr j, Expr lane, ValueId a, ValueId b) {
      const Expr at = register_at(i, j, lane);
      builder_.store(acc_, at, multiply_add(a, b, builder_.load(acc_, at)));
    };
    values_.loop(LoopKind::serial, part.length, [&](Expr step) {
      const Expr k = values_.simplified(part.start + step);
      if (tiling_.rows >= tiling_.vectors) {
        each_vector([&](Expr j, Expr lane) {
          builder_.store(held_, register_at(Expr(), j, lane), right(k, j, lane));
        });
        values_.loop(LoopKind::unrolled, tiling_.rows, [&](Expr i) {
          const ValueId a = left_element(first_row, ip, i, k);
          each_vector([&](Expr j, Expr lane) {
            update(i, j, lane, a, builder_.load(held_, register_at(Expr(), j, lane)));
          });
        });
      } else {
        each_vector([&](Expr j, Expr lane) {
          const ValueId b = right(k, j, lane);
          for (int64_t i = 0; i < tiling_.rows; ++i) {
            update(i, j, lane, left_element(first_row, ip, i, k), b);
          }
        });
      }
    });
  }

  // ---- after the product

  void finish(const Part& part, Expr row, Expr column, Expr slot) {
    if (!loops_epilogue_) {
      values_.loop(LoopKind::unrolled, tiling_.rows, [&](Expr i) {
        values_.when_less(row + i, m_, [&] {
          each_vector([&](Expr j, Expr lane) {
            store_results(row + i, column + j * tiling_.vector + lane,
                          [&] { return builder_.load(acc_, register_at(i, j, lane)); });
          });
        });
      });
      return;
    }
    if (!in_parts_) slot = Expr();
    auto spill = [&] {
      each_accumulator([&](Expr at) {
        builder_.store(tile_, values_.simplified(slot + at), builder_.load(acc_, at));
      });
    };
    branch(
        part.block, blocks_ - 1,
        [&] {
          if (leaves_.is_constant(1)) {
            spill();
            return loop_over_tile(tile_, row, column, slot);
          }
          add_leaf(part, slot);
          branch(part.leaf, leaves_ - 1, [&] { loop_over_tile(sum_, row, column, slot); }, [] {});
        },
        spill);
  }

  // The leaf's registers onto the sum of the leaves before.
  void add_leaf(const Part& part, Expr slot) {
    auto each = [&](bool first) {
      each_accumulator([&](Expr at) {
        const Expr to = values_.simplified(slot + at);
        ValueId value = builder_.load(acc_, at);
        if (!first) value = builder_.add(builder_.load(sum_, to), value);
        builder_.store(sum_, to, value);
      });
    };
    branch(part.leaf, 0, [&] { each(true); }, [&] { each(false); });
  }

  void loop_over_tile(BufferId tile, Expr row, Expr column, Expr slot) {
    const Expr rows_here = values_.simplified(min(Expr(tiling_.rows), m_ - row));
    values_.loop(LoopKind::serial, rows_here, [&](Expr i) {
      values_.loop(LoopKind::serial, tiling_.vectors, [&](Expr j) {
        values_.loop(LoopKind::vector, tiling_.vector, [&](Expr lane) {
          const Expr in_row = j * tiling_.vector + lane;
          const Expr at = values_.simplified(slot + i * tiling_.columns() + in_row);
          store_results(row + i, column + in_row, [&] { return builder_.load(tile, at); });
        });
      });
    });
  }

  void store_results(Expr row, Expr column, const std::function<ValueId()>& product) {
    values_.when_less(column, n_, [&] {
      set_axes(m_axis_, values_.simplified(row));
      set_axes(n_axis_, values_.simplified(column));
      values_.define(contraction_.reduce, at_axes(member(contraction_.reduce).tuple), product());
      for (Value v : nest_.stores) {
        const Tuple tuple = at_axes(member(v).tuple);
        values_.store(v, tuple, values_.at(v, tuple));
      }
    });
  }

  const NestContext& context_;
  const Graph& graph_;
  const fusion::Nest& nest_;
  const fusion::Contraction& contraction_;
  Values& values_;
  kernel::Builder& builder_;
  std::vector<Expr> extents_;  // of group and k axes
  std::vector<Expr> axes_;     // what each is at the insertion point
  DType dtype_ = DType::f32;
  LoopAxis batch_axis_, m_axis_, n_axis_, k_axis_;
  Expr batch_, m_, n_, k_, leaf_, leaves_, block_, blocks_, panels_, panel_size_;
  Factor left_, right_;
  Tiling tiling_{};
  bool left_direct_ = false, in_parts_ = false, loops_epilogue_ = false;
  double epilogue_cost_ = 0;
  BufferId acc_ = 0, held_ = 0, tile_ = 0, sum_ = 0, packed_left_ = 0, packed_right_ = 0;
};

}  // namespace

void lower_contraction(const NestContext& context) { ContractionLowering(context).run(); }

}  // namespace plait::lower
