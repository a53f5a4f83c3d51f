// Contractions: packed panels, a register tile, and the epilogue on the tile while it is hot.
#include <algorithm>

#include "core/error.h"
#include "core/log.h"
#include "core/reduction_order.h"
#include "jit/lower/axes.h"
#include "jit/lower/digit_packing.h"
#include "jit/lower/nests.h"
#include "jit/lower/pair_packing.h"
#include "jit/lower/plain_packing.h"
#include "jit/lower/prefetch.h"
#include "jit/lower/result_elements.h"
#include "jit/lower/tiling.h"
#include "passes/fusion/roles.h"

namespace plait::lower {
namespace {

using fusion::Member;

// Epilogues of at most this many operations are unrolled over the tile; others loop over it.
constexpr double kUnrolledEpilogue = 6;

// Steps of k that cover the fetching of a tile's results.
constexpr double kLongPart = 64;

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
    allocate();
    if (tiling_.right == RightOperand::shared) pack_shared();
    const Expr blocks = ceil_div(m_, tiling_.block_rows());
    const Expr groups = ceil_div(panels_, tiling_.block_panels);
    values_.phase(values_.simplified(batch_ * blocks * groups), task_cost(), [&](Expr p) {
      const Expr batch = values_.simplified(floor_div(p, blocks * groups));
      set_batch(batch);
      task(batch, values_.simplified(mod(floor_div(p, groups), blocks) * tiling_.block_rows()),
           values_.simplified(mod(p, groups) * tiling_.block_panels));
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
    int64_t width = 0;                       // of a packed panel
    int64_t step = 0;                        // from one panel to the next, along the factor's axis
    std::unique_ptr<PairPacking> pairs{};    // for matrix registers
    std::unique_ptr<DigitPacking> digits{};  // where m or n and k are more than one run each
    bool in_rows = false;  // packed as it lies, row by row along k: the left factor only
    std::optional<FactorLayout::Rows> rows{};  // where it lies so in memory
  };

  // A block of a leaf of k.
  struct Part {
    Expr leaf, block;
    Expr start, length;
  };

  // Where a tile lies in the result, and among the tiles that wait in memory.
  struct Place {
    Expr tile, packed_right;  // in its task; where its panel's part lies
    Expr row, column;
    Expr slot;

    Expr slot_in(bool in_parts) const { return in_parts ? slot : Expr(); }
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
    left_.in_rows = left_.digits && packs_along_k(left_);
    result_digits_ =
        digits_of_results(graph_, context_.plan, nest_, contraction_.reduce, n_axis_, extents_);
    m_ = m_axis_.extent;
    n_ = n_axis_.extent;
    const bool pairs = contraction_.order == ContractionOrder::pairs;
    leaf_ = values_.simplified(contraction_leaf(k_, contraction_.order));
    leaves_ = values_.simplified(max(Expr(1), ceil_div(k_, leaf_)));
    auto estimate = [](Expr e) { return fusion::estimated_elements({e}); };
    tiling_ = choose_tiling(context_.target, dtype_,
                            {estimate(batch_), estimate(m_), estimate(n_), estimate(k_),
                             estimate(leaf_), left_.plain && left_.k_contiguous && !left_.digits,
                             right_.axis_contiguous && !right_.digits, pairs});
    PLAIT_LOG(debug, "contraction {} x {} x {}, batch {}: tile {} x {}, block {} x {}, k {}{}{}",
              to_string(m_), to_string(n_), to_string(k_), to_string(batch_), tiling_.rows,
              tiling_.columns(), tiling_.block_rows(), tiling_.block_panels * tiling_.columns(),
              tiling_.block_k, tiling_.left_direct ? "" : ", left packed",
              tiling_.right == RightOperand::direct ? ""
              : tiling_.right == RightOperand::task ? ", right packed"
                                                    : ", right packed once");
    // Packed rows fill whole vectors: the lanes past a tile's rows are the next rows, unused.
    left_.width = 1;
    while (left_.width < tiling_.rows) left_.width *= 2;
    left_.step = tiling_.rows;
    if (tiling_.tiles) left_.width = left_.step = kernel::kTileRows, left_.in_rows = false;
    right_.width = tiling_.columns();
    right_.step = tiling_.columns();
    panels_ = values_.simplified(ceil_div(n_, tiling_.columns()));
    double epilogue = 0;
    for (const Member& member : nest_.members) {
      epilogue += fusion::operation_cost(graph_.node(member.value));
    }
    epilogue_cost_ = epilogue;
    result_elements_ = result_elements(graph_, context_.plan, nest_);
    blocks_ = values_.simplified(max(Expr(1), ceil_div(leaf_, tiling_.block_k)));
    block_ = values_.simplified(ceil_div(leaf_, blocks_));
    if (pairs) block_ = values_.simplified(ceil_div(block_, kPairBlock) * kPairBlock);
    if (!pairs) fit_block_to_digits();
    packed_steps_ = block_.constant().value_or(tiling_.block_k);
    row_pitch_ = (packed_steps_ / tiling_.vector + 2) * tiling_.vector;
    in_parts_ = !leaves_.is_constant(1) || !blocks_.is_constant(1);
    // Pairs are summed in memory.
    loops_epilogue_ =
        epilogue > kUnrolledEpilogue + 1 || in_parts_ || pairs || result_digits_.axes.size() > 1;
  }

  // Parts of k hold whole inner digits where leaves do.
  void fit_block_to_digits() {
    for (const Factor* factor : {&left_, &right_}) {
      if (!factor->digits || packs_along_k(*factor)) continue;
      const int64_t inner = factor->digits->k().inner().constant().value_or(1);
      if (inner == 1 || inner > tiling_.block_k || !is_multiple_of(leaf_, inner)) continue;
      block_ = values_.simplified(ceil_div(block_, inner) * inner);
      blocks_ = values_.simplified(max(Expr(1), ceil_div(leaf_, block_)));
      return;
    }
  }

  // Whether vectors of what is packed run along k.
  bool packs_along_k(const Factor& factor) const {
    if (!factor.digits) return factor.k_contiguous && !factor.axis_contiguous;
    return factor.digits->runs_along_k(factor.axis_contiguous, factor.k_contiguous);
  }

  // Whether the factors change sides: lanes run along the axes of the right one. But rather scatter
  // the result than transpose a factor that is much larger.
  bool swaps() const {
    const bool wanted = results_end_left(nest_);
    auto elements = [&](const LoopAxis& axis) { return fusion::estimated_elements({axis.extent}); };
    auto transposed = [&](const Factor& right) {
      const bool transposes = right.digits && packs_along_k(right);
      return transposes ? fusion::estimated_elements({right.extent}) * elements(k_axis_) : 0;
    };
    constexpr double kScattered = 4;
    const double kept = transposed(wanted ? left_ : right_);
    const double other =
        transposed(wanted ? right_ : left_) + kScattered * elements(m_axis_) * elements(n_axis_);
    return other < kept ? !wanted : wanted;
  }

  const Member& member(Value v) const {
    return *std::find_if(nest_.members.begin(), nest_.members.end(),
                         [&](const Member& candidate) { return candidate.value == v; });
  }

  void examine(Factor& factor) {
    const FactorLayout layout = layout_of(graph_, context_.plan, factor.value, factor.tuple,
                                          extents_, factor.axes, contraction_.k);
    factor.plain = layout.plain;
    factor.axis_contiguous = layout.own_contiguous;
    factor.k_contiguous = layout.k_contiguous;
    factor.rows = layout.rows;
    if (!layout.is_view) return;
    factor.digits = DigitPacking::make(values_, graph_, context_.plan, dtype_,
                                       {factor.value, factor.tuple, factor.axes, contraction_.k},
                                       extents_, axes_, lanes_of(context_.target, dtype_));
  }

  void allocate() {
    const int64_t accumulators = tiling_.rows * tiling_.columns();
    const auto lanes = static_cast<uint32_t>(tiling_.vector);
    if (tiling_.tiles) {
      sums_ = values_.tiles(DType::f32, row_tiles() * tiling_.vectors);
      left_pairs_ = values_.tiles(DType::u32, row_tiles());
      right_pairs_ = values_.tiles(DType::u32, tiling_.vectors);
    } else {
      acc_ = values_.registers(dtype_, accumulators, lanes);
      held_ = values_.registers(dtype_, tiling_.columns(), lanes);
    }
    const int64_t waiting = tiling_.block_tiles * tiling_.block_panels;
    if (loops_epilogue_) tile_ = values_.local(dtype_, (in_parts_ ? waiting : 1) * accumulators);
    if (!leaves_.is_constant(1)) sum_ = values_.local(dtype_, waiting * accumulators);
    if (in_pairs() && !tiling_.tiles) even_ = values_.local(dtype_, accumulators);
    if (tiling_.tiles) return allocate_pairs();
    switch (tiling_.right) {
      case RightOperand::direct:
        break;
      case RightOperand::task:
        packed_right_ = values_.local(dtype_, packed_steps_ * tiling_.block_panels * right_.width);
        break;
      case RightOperand::shared:
        packed_right_ = values_.workspace(dtype_, batch_ * panels_ * k_ * right_.width);
        break;
    }
    if (!tiling_.left_direct) {
      const int64_t size = left_.in_rows ? row_pitch_ * tiling_.block_rows()
                                         : packed_steps_ * tiling_.block_tiles * left_.width;
      packed_left_ = values_.local(dtype_, size);
    }
  }

  void allocate_pairs() {
    const int64_t pairs = packed_steps_ / 2;
    packed_right_ =
        tiling_.right == RightOperand::task
            ? values_.local(DType::u32, pairs * tiling_.block_panels * right_.width)
            : values_.workspace(DType::u32, batch_ * panels_ * all_pairs() * right_.width);
    const auto packing = [this](Factor& factor) {
      return std::make_unique<PairPacking>(
          values_, factor.width, [this, &factor](const PackPlace& place, Expr panel) {
            pack_elements(factor, place, panel);
          });
    };
    right_.pairs = packing(right_);
    packed_left_ = values_.local(DType::u32, pairs * tiling_.block_rows());
    if (!lies_in_tiles(left_)) left_.pairs = packing(left_);
  }

  bool in_pairs() const { return contraction_.order == ContractionOrder::pairs; }
  Expr all_pairs() const { return ceil_div(k_, kPairBlock) * (kPairBlock / 2); }
  int64_t row_tiles() const { return tiling_.rows / kernel::kTileRows; }

  double task_cost() const {
    const double outputs =
        static_cast<double>(tiling_.block_rows() * tiling_.block_panels * tiling_.columns());
    return outputs * (fusion::estimated_elements({k_}) * 0.02 + epilogue_cost_ * 0.2);
  }

  // ---- axes

  void set_axes(const LoopAxis& axis, Expr index) {
    if (!axis.group_axes.empty()) expand_axis(axis, index, extents_, axes_);
  }
  void set_batch(Expr index) {
    Digits digits;
    for (uint32_t axis : batch_axis_.group_axes)
      digits.axes.push_back({{axis}, extents_[axis], false});
    const std::vector<Expr> at = bind_digits(values_, digits, index);
    for (size_t i = 0; i < at.size(); ++i) set_axes(digits.axes[i], at[i]);
  }

  Tuple at_axes(const Tuple& tuple) const {
    Substitution substitution;
    for (uint32_t k = 0; k < axes_.size(); ++k) substitution.emplace(k, axes_[k]);
    Tuple result;
    for (Expr e : tuple) result.push_back(values_.simplified(substitute(e, substitution)));
    return result;
  }

  // A view may name axes of the other factor although nothing it reads depends on them.
  void forget_other_axes(const Factor& factor) {
    set_axes(&factor == &left_ ? n_axis_ : m_axis_, Expr());
  }

  ValueId element(const Factor& factor, Expr index, Expr k) {
    set_axes(&factor == &left_ ? m_axis_ : n_axis_, index);
    forget_other_axes(factor);
    set_axes(k_axis_, k);
    return values_.compute_at(factor.value, at_axes(factor.tuple));
  }

  ValueId zero() { return builder_.constant(Scalar(dtype_, int64_t{0})); }

  // ---- packing

  // Where the first panel starts, and how far it is to the next.
  struct Packed {
    Expr base, panel;
  };

  Packed packed_right(Expr batch, Expr first_panel, const Part& part) const {
    const int64_t steps = tiling_.tiles ? 2 : 1;  // of an element
    if (tiling_.right == RightOperand::task) return {Expr(), packed_steps_ / steps * right_.width};
    const Expr panel = (tiling_.tiles ? all_pairs() : k_) * right_.width;
    const Expr start = tiling_.tiles ? floor_div(part.start, 2) : part.start;
    return {values_.simplified((batch * panels_ + first_panel) * panel + start * right_.width),
            panel};
  }

  // All of the right operand, a few panels and steps a task.
  void pack_shared() {
    constexpr int64_t kMostSteps = 256;
    const int64_t inner =
        right_.digits && !tiling_.tiles ? right_.digits->k().inner().constant().value_or(1)
                                        : int64_t{1};
    const int64_t steps = inner <= kMostSteps ? kMostSteps / inner * inner : kMostSteps;
    const Expr groups = ceil_div(panels_, kPackedPanels);
    const Expr parts = ceil_div(k_, steps);
    const double elements = static_cast<double>(steps * kPackedPanels * tiling_.columns());
    values_.phase(values_.simplified(batch_ * groups * parts), elements * 0.2, [&](Expr p) {
      const Expr batch = floor_div(p, groups * parts);
      const Expr first = values_.simplified(mod(floor_div(p, parts), groups) * kPackedPanels);
      const Expr start = values_.simplified(mod(p, parts) * steps);
      const Part part{Expr(), Expr(), start, values_.simplified(min(Expr(steps), k_ - start))};
      set_batch(batch);
      pack_panels(right_, first, values_.simplified(min(Expr(kPackedPanels), panels_ - first)),
                  part, packed_right(batch, first, part));
    });
  }

  BufferId packed(const Factor& factor) const {
    return &factor == &left_ ? packed_left_ : packed_right_;
  }

  PlainPacking plain(const Factor& factor) {
    return {
        values_,       dtype_, tiling_.vector,
        factor.extent, k_,     [this, &factor](Expr i, Expr k) { return element(factor, i, k); }};
  }

  // `count` panels from `first`, over a part of k: [panel][step][width].
  void pack_panels(const Factor& factor, Expr first, Expr count, const Part& part,
                   const Packed& to) {
    const PackPlace place{packed(factor), to.base, first, count, part.start, part.length};
    forget_other_axes(factor);
    if (factor.in_rows) return factor.digits->pack_rows(place, factor.step, row_pitch_);
    if (!tiling_.tiles) return pack_elements(factor, place, to.panel);
    if (&factor == &right_) return factor.pairs->pack_columns(place, to.panel);
    if (factor.pairs) return factor.pairs->pack_tiles(place, to.panel);
    copy_tiles(factor, place, to.panel);
  }

  // Rows of bf16 along k.
  bool lies_in_tiles(const Factor& factor) const {
    return factor.rows && graph_.type(factor.rows->source).dtype == DType::bf16;
  }

  // Through a matrix register, with zeros past the ends.
  void copy_tiles(const Factor& factor, const PackPlace& place, Expr panel) {
    const kernel::Place tile{left_pairs_, 0};
    const BufferId from = values_.buffer_of(factor.rows->source, false);
    const Expr base = at_axes({factor.rows->base})[0];
    values_.loop(LoopKind::serial, place.count, [&](Expr p) {
      const Expr row = values_.simplified((place.first + p) * factor.step);
      const Expr rows = values_.simplified(max(Expr(), min(Expr(factor.step), factor.extent - row)));
      values_.loop(LoopKind::serial, ceil_div(place.length, kPairBlock), [&](Expr block) {
        const Expr k = values_.simplified(place.start + block * kPairBlock);
        builder_.tile_load(tile, {from, values_.simplified(base + row * factor.rows->pitch + k)},
                           factor.rows->pitch, rows,
                           values_.simplified(min(Expr(kPairBlock), k_ - k)));
        const Expr to = place.base + p * panel + block * kernel::kTileElements;
        builder_.tile_store({place.to, values_.simplified(to)}, tile, kernel::kTileRowBytes / 4);
      });
    });
  }

  void pack_elements(const Factor& factor, const PackPlace& place, Expr panel) {
    auto pack = [&](auto&& packing) {
      if (packs_along_k(factor)) {
        packing.pack_transposed(place, factor.step, factor.width, panel);
      } else {
        packing.pack_panels(place, factor.step, factor.width, panel);
      }
    };
    if (factor.digits) return pack(*factor.digits);
    pack(plain(factor));
  }

  // ---- the product

  void task(Expr batch, Expr first_row, Expr first_panel) {
    const Expr rows = values_.simplified(min(Expr(tiling_.block_rows()), m_ - first_row));
    const Expr tiles = values_.simplified(ceil_div(rows, tiling_.rows));
    const Expr panels = values_.simplified(min(Expr(tiling_.block_panels), panels_ - first_panel));
    each_part([&](const Part& part) {
      const Packed right = packed_right(batch, first_panel, part);
      if (tiling_.right == RightOperand::task) {
        pack_panels(right_, first_panel, panels, part, right);
      }
      if (!tiling_.left_direct) {
        const int64_t panels_a_tile = tiling_.rows / left_.step;
        pack_panels(left_, values_.simplified(floor_div(first_row, left_.step)),
                    values_.simplified(tiles * panels_a_tile), part,
                    {Expr(), packed_steps_ * left_.width / (tiling_.tiles ? 2 : 1)});
      }
      values_.loop(LoopKind::serial, panels, [&](Expr jp) {
        values_.loop(LoopKind::serial, tiles, [&](Expr ip) {
          const Place place{ip, values_.simplified(right.base + jp * right.panel),
                            values_.simplified(first_row + ip * tiling_.rows),
                            values_.simplified((first_panel + jp) * tiling_.columns()),
                            (jp * tiling_.block_tiles + ip) * (tiling_.rows * tiling_.columns())};
          prefetch_results(place, part);
          if (tiling_.tiles) {
            multiply_tiles(place, part);
          } else if (in_pairs()) {
            multiply_pairs(place, part);
          } else {
            multiply(place, part);
          }
          finish(place, part);
        });
      });
    });
  }

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

  ValueId left_element(const Place& place, const Part& part, Expr row, Expr step) {
    if (left_.in_rows) {
      const Expr at = (place.tile * tiling_.rows + row) * row_pitch_ + step;
      return builder_.load(packed_left_, values_.simplified(at));
    }
    if (!tiling_.left_direct) {
      const Expr at = (place.tile * packed_steps_ + step) * left_.width + row;
      return builder_.load(packed_left_, values_.simplified(at));
    }
    Expr index = place.row + row;
    if (prove_less(index, m_, values_.ranges()) != true) index = min(index, m_ - 1);
    return element(left_, values_.simplified(index), values_.simplified(part.start + step));
  }

  // One vector of the right operand into the registers that hold it.
  void hold_right(const Place& place, const Part& part, Expr step, Expr j, Expr lane) {
    const Expr to = register_at(Expr(), j, lane);
    const Expr in_panel = j * tiling_.vector + lane;
    if (tiling_.right == RightOperand::direct) {
      const Expr k = values_.simplified(part.start + step);
      return plain(right_).store_padded(place.column + in_panel, k, held_, to);
    }
    const Expr at = place.packed_right + step * right_.width + in_panel;
    builder_.store(held_, to, builder_.load(packed_right_, values_.simplified(at)));
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

  // The rows of a tile's results lie on a page each, where the hardware does not look ahead: what
  // the end of the product touches is fetched while the product is computed.
  void prefetch_results(const Place& place, const Part& part) {
    if (fusion::estimated_elements({block_}) < kLongPart) return;
    branch(
        part.block, blocks_ - 1,
        [&] { branch(part.leaf, leaves_ - 1, [&] { prefetch_rows(place); }, [] {}); }, [] {});
  }

  void prefetch_rows(const Place& place) {
    values_.loop(LoopKind::serial, tiling_.rows, [&](Expr i) {
      for (const ResultElement& element : result_elements_) {
        auto index_at = [&](Expr column) {
          set_axes(m_axis_, values_.simplified(place.row + i));
          set_axes(n_axis_, values_.simplified(column));
          const Shape& shape = graph_.type(element.value).shape;
          return values_.simplified(linear_index(shape, at_axes(element.tuple)));
        };
        const Expr first = index_at(place.column);
        const bool in_row = values_.simplified(index_at(place.column + 1) - first).is_constant(1);
        const std::vector<uint32_t> variables = variables_of(first);
        const bool by_row =
            std::find(variables.begin(), variables.end(), i.id()) != variables.end();
        if (!in_row || !by_row) continue;
        const BufferId buffer = values_.buffer_of(element.value, element.written);
        prefetch_lines(values_, buffer, first, tiling_.columns());
      }
    });
  }

  // The tile of registers over one part of k: a leaf's first block starts at zero, the others where
  // the block before stopped. The smaller operand is held; the other streams.
  void multiply(const Place& place, const Part& part) {
    branch(
        part.block, 0,
        [&] { each_accumulator([&](Expr at) { builder_.store(acc_, at, zero()); }); },
        [&] {
          each_accumulator([&](Expr at) {
            builder_.store(acc_, at, builder_.load(tile_, values_.simplified(place.slot + at)));
          });
        });
    values_.loop(LoopKind::serial, part.length,
                 [&](Expr step) { multiply_step(place, part, step); });
  }

  void multiply_step(const Place& place, const Part& part, Expr step) {
    auto update = [&](Expr i, Expr j, Expr lane, ValueId a) {
      const Expr at = register_at(i, j, lane);
      const ValueId b = builder_.load(held_, register_at(Expr(), j, lane));
      builder_.store(acc_, at, multiply_add(a, b, builder_.load(acc_, at)));
    };
    if (tiling_.rows >= tiling_.vectors) {
      each_vector([&](Expr j, Expr lane) { hold_right(place, part, step, j, lane); });
      values_.loop(LoopKind::unrolled, tiling_.rows, [&](Expr i) {
        const ValueId a = left_element(place, part, i, step);
        each_vector([&](Expr j, Expr lane) { update(i, j, lane, a); });
      });
      return;
    }
    each_vector([&](Expr j, Expr lane) {
      hold_right(place, part, step, j, lane);
      for (int64_t i = 0; i < tiling_.rows; ++i) {
        update(i, j, lane, left_element(place, part, i, step));
      }
    });
  }

  // The same in the order of pairs: the chains of a block's even and odd steps, one after the
  // other, and their sum onto what lies in memory.
  void multiply_pairs(const Place& place, const Part& part) {
    auto in_sum = [&](Expr at) { return values_.simplified(place.slot_in(in_parts_) + at); };
    branch(
        part.block, 0,
        [&] { each_accumulator([&](Expr at) { builder_.store(tile_, in_sum(at), zero()); }); },
        [] {});
    values_.flush([&] {
      values_.loop(LoopKind::serial, ceil_div(part.length, kPairBlock), [&](Expr block) {
        const Expr first = block * kPairBlock;
        const Expr length = values_.simplified(min(Expr(kPairBlock), part.length - first));
        auto chain = [&](int64_t half) {
          each_accumulator([&](Expr at) { builder_.store(acc_, at, zero()); });
          const Expr steps = values_.simplified(floor_div(length + 1 - half, 2));
          values_.loop(LoopKind::serial, steps, [&](Expr step) {
            multiply_step(place, part, values_.simplified(first + 2 * step + half));
          });
        };
        chain(0);
        each_accumulator([&](Expr at) { builder_.store(even_, at, builder_.load(acc_, at)); });
        chain(1);
        each_accumulator([&](Expr at) {
          const ValueId both = builder_.add(builder_.load(even_, at), builder_.load(acc_, at));
          builder_.store(tile_, in_sum(at), builder_.add(builder_.load(tile_, in_sum(at)), both));
        });
      });
    });
  }

  // The same in matrix registers.
  void multiply_tiles(const Place& place, const Part& part) {
    constexpr int64_t kSide = kernel::kTileRows, kPairs = kPairBlock / 2;
    const Expr slot = place.slot_in(in_parts_);
    auto each_sum = [&](const std::function<void(kernel::Place sums, kernel::Place memory)>& body) {
      for (int64_t i = 0; i < row_tiles(); ++i) {
        for (int64_t j = 0; j < tiling_.vectors; ++j) {
          body({sums_, (i * tiling_.vectors + j) * kernel::kTileElements},
               {tile_, values_.simplified(slot + i * kSide * tiling_.columns() + j * kSide)});
        }
      }
    };
    branch(
        part.block, 0,
        [&] { each_sum([&](kernel::Place sums, kernel::Place) { builder_.tile_zero(sums); }); },
        [&] {
          each_sum([&](kernel::Place sums, kernel::Place memory) {
            builder_.tile_load(sums, memory, tiling_.columns(), kSide, kSide);
          });
        });
    values_.loop(LoopKind::serial, ceil_div(part.length, kPairBlock), [&](Expr block) {
      for (int64_t i = 0; i < row_tiles(); ++i) {
        const Expr panel = place.tile * row_tiles() + i;
        const Expr at = panel * (packed_steps_ / 2 * left_.width) + block * kernel::kTileElements;
        builder_.tile_load({left_pairs_, i * kernel::kTileElements},
                           {packed_left_, values_.simplified(at)}, kSide, kSide, kSide);
      }
      for (int64_t j = 0; j < tiling_.vectors; ++j) {
        const Expr at = place.packed_right + block * (kPairs * right_.width) + j * kSide;
        builder_.tile_load({right_pairs_, j * kernel::kTileElements},
                           {packed_right_, values_.simplified(at)}, right_.width, kPairs, kSide);
      }
      each_sum([&](kernel::Place sums, kernel::Place) {
        const int64_t tile = *sums.at.constant() / kernel::kTileElements;
        const int64_t i = tile / tiling_.vectors, j = tile % tiling_.vectors;
        builder_.tile_dot(sums, {left_pairs_, i * kernel::kTileElements},
                          {right_pairs_, j * kernel::kTileElements});
      });
    });
    each_sum([&](kernel::Place sums, kernel::Place memory) {
      builder_.tile_store(memory, sums, tiling_.columns());
    });
  }

  // ---- after the product

  void finish(const Place& place, const Part& part) {
    const Expr row = place.row, column = place.column;
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
    const Expr slot = place.slot_in(in_parts_);
    auto spill = [&] {
      if (in_pairs()) return;  // it is there
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
        ValueId value = in_pairs() ? builder_.load(tile_, to) : builder_.load(acc_, at);
        if (!first) value = builder_.add(builder_.load(sum_, to), value);
        builder_.store(sum_, to, value);
      });
    };
    branch(part.leaf, 0, [&] { each(true); }, [&] { each(false); });
  }

  void loop_over_tile(BufferId tile, Expr row, Expr column, Expr slot) {
    const Expr rows_here = values_.simplified(min(Expr(tiling_.rows), m_ - row));
    if (result_digits_.axes.size() > 1) return store_cuts(tile, row, rows_here, column, slot);
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

  // Vectors of the result that are cut where its last digit starts anew.
  void store_cuts(BufferId tile, Expr row, Expr rows, Expr column, Expr slot) {
    values_.loop(LoopKind::serial, tiling_.vectors, [&](Expr j) {
      const Expr in_row = j * tiling_.vector;
      const Cut cut =
          cut_lanes(values_, result_digits_, values_.simplified(column + in_row), tiling_.vector);
      values_.loop(LoopKind::serial, rows, [&](Expr i) {
        const Expr at = values_.simplified(slot + i * tiling_.columns() + in_row);
        values_.loop(LoopKind::vector, tiling_.vector, [&](Expr lane) {
          each_piece(values_, cut, lane, [&](const std::vector<Expr>& digits) {
            set_axes(m_axis_, values_.simplified(row + i));
            for (size_t d = 0; d < digits.size(); ++d) set_axes(result_digits_.axes[d], digits[d]);
            store_at_axes(builder_.load(tile, at + lane));
          });
        });
      });
    });
  }

  void store_results(Expr row, Expr column, const std::function<ValueId()>& product) {
    values_.when_less(column, n_, [&] {
      set_axes(m_axis_, values_.simplified(row));
      set_axes(n_axis_, values_.simplified(column));
      store_at_axes(product());
    });
  }

  void store_at_axes(ValueId product) {
    values_.define(contraction_.reduce, at_axes(member(contraction_.reduce).tuple), product);
    for (Value v : nest_.stores) {
      const Tuple tuple = at_axes(member(v).tuple);
      values_.store(v, tuple, values_.at(v, tuple));
    }
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
  Expr batch_, m_, n_, k_, leaf_, leaves_, block_, blocks_, panels_;
  int64_t packed_steps_ = 0;  // room for the steps of a part
  int64_t row_pitch_ = 0;     // the same, of a row that is packed as it lies
  Digits result_digits_;
  Factor left_, right_;
  Tiling tiling_{};
  bool in_parts_ = false, loops_epilogue_ = false;
  double epilogue_cost_ = 0;
  std::vector<ResultElement> result_elements_;
  BufferId acc_ = 0, held_ = 0, tile_ = 0, sum_ = 0, packed_left_ = 0, packed_right_ = 0;
  BufferId even_ = 0;                                  // pairs in vectors
  BufferId sums_ = 0, left_pairs_ = 0, right_pairs_ = 0;  // pairs in matrix registers
};

}  // namespace

void lower_contraction(const NestContext& context) { ContractionLowering(context).run(); }

}  // namespace plait::lower
