#include "jit/lower/digit_packing.h"

#include <algorithm>
#include <cmath>

#include "passes/fusion/roles.h"

namespace plait::lower {

std::unique_ptr<DigitPacking> DigitPacking::make(Values& values, const Graph& graph,
                                                 const fusion::FusionPlan& plan, DType dtype,
                                                 const Factor& factor,
                                                 const std::vector<Expr>& extents,
                                                 std::vector<Expr>& axes, int64_t vector) {
  Ranges ranges;
  for (uint32_t axis = 0; axis < extents.size(); ++axis) ranges.set(axis, extents[axis]);
  std::optional<Reads> reads = reads_of(graph, plan, factor.value, factor.tuple, ranges);
  if (!reads) return nullptr;
  std::unique_ptr<DigitPacking> result(
      new DigitPacking(values, dtype, factor, extents, axes, vector));
  result->own_ = digits_of(factor.own, extents, *reads);
  result->k_ = digits_of(factor.k, extents, *reads);
  result->guards_ = std::move(reads->guards);
  const bool one_each = result->own_.axes.size() < 2 && result->k_.axes.size() < 2;
  if (one_each || !result->own_.fixed() || !result->k_.fixed()) return nullptr;
  return result;
}

bool DigitPacking::runs_along_k(bool own_contiguous, bool k_contiguous) const {
  // Cycles of a vector, about: a load, masked ones of its pieces, or a gather of its lanes.
  constexpr double kLoad = 4, kPiece = 20, kGather = 20, kTranspose = 6;
  auto cost = [&](const Digits& digits, bool contiguous) {
    const double run =
        digits.axes.empty() ? 1 : fusion::estimated_elements({digits.axes.back().extent});
    const double pieces = std::ceil(static_cast<double>(vector_) / std::max(run, 1.0));
    return (pieces > 1 ? kPiece * pieces : kLoad) + (contiguous ? 0 : kGather);
  };
  return cost(k_, k_contiguous) + kTranspose < cost(own_, own_contiguous);
}

void DigitPacking::pack_panels(const PackPlace& place, int64_t step, int64_t width, Expr panel) {
  const int64_t lanes = std::min(vector_, width);
  values_.loop(LoopKind::serial, place.count, [&](Expr p) {
    values_.loop(LoopKind::serial, width / lanes, [&](Expr v) {
      const Expr base = place.base + p * panel + v * lanes;
      pack(own_, k_, values_.simplified((place.first + p) * step + v * lanes), lanes, place.start,
           place.length, place.to, [&](Expr k) { return base + k * width; });
    });
  });
}

void DigitPacking::pack_rows(const PackPlace& place, int64_t step, int64_t pitch) {
  const Expr start = place.first * step;
  const Expr all = place.count * step;
  const Expr rows = values_.simplified(min(all, own_.extent() - start));
  values_.loop(LoopKind::serial, ceil_div(place.length, vector_), [&](Expr v) {
    const Expr from = place.base + v * vector_;
    pack(k_, own_, values_.simplified(place.start + v * vector_), vector_, start, rows, place.to,
         [&](Expr row) { return from + row * pitch; });
    values_.loop(LoopKind::serial, values_.simplified(all - rows), [&](Expr row) {
      values_.loop(LoopKind::vector, vector_, [&](Expr lane) {
        kernel::Builder& builder = values_.builder();
        builder.store(place.to, values_.simplified(from + (rows + row) * pitch + lane),
                      builder.constant(Scalar(dtype_, int64_t{0})));
      });
    });
  });
}

void DigitPacking::set(const Digits& digits, const std::vector<Expr>& at) {
  for (size_t i = 0; i < at.size(); ++i) expand_axis(digits.axes[i], at[i], extents_, axes_);
}

void DigitPacking::set_lane(const Digits& along, const Cut& cut, size_t piece, Expr lane) {
  std::vector<Expr> at = cut.pieces[piece].outer;
  at.push_back(values_.simplified(cut.last_digit(piece, lane)));
  set(along, at);
}

Expr DigitPacking::at_axes(Expr e) const {
  Substitution substitution;
  for (uint32_t k = 0; k < axes_.size(); ++k) substitution.emplace(k, axes_[k]);
  return values_.simplified(substitute(e, substitution));
}

ValueId DigitPacking::element() {
  Tuple at;
  for (Expr e : tuple_) at.push_back(at_axes(e));
  return values_.compute_at(value_, at);
}

// What must lie in range where all lanes are of the first piece and no guard holds anything back.
std::vector<std::pair<Expr, Expr>> DigitPacking::one_run_conditions(const Digits& along,
                                                                    const Cut& cut) {
  std::vector<std::pair<Expr, Expr>> result = {
      {values_.simplified(cut.last_digit(0, cut.lanes - 1)), cut.run},
      {cut.pieces[0].row, cut.rows}};
  for (const IndexGuard& guard : guards_) {
    for (const Expr lane : {Expr(), Expr(cut.lanes - 1)}) {
      set_lane(along, cut, 0, lane);
      const std::pair<Expr, Expr> condition = {at_axes(guard.index), at_axes(guard.extent)};
      if (std::find(result.begin(), result.end(), condition) == result.end()) {
        result.push_back(condition);
      }
    }
  }
  return result;
}

// The lanes of a cut, the other index being set.
void DigitPacking::store_lanes(const Digits& along, const Cut& cut, BufferId to, Expr slot) {
  kernel::Builder& builder = values_.builder();
  auto each_lane = [&](const std::function<void(Expr lane, Expr at)>& body) {
    values_.loop(LoopKind::vector, cut.lanes,
                 [&](Expr lane) { body(lane, values_.simplified(slot + lane)); });
  };
  auto in_one_run = [&] {
    each_lane([&](Expr lane, Expr at) {
      set_lane(along, cut, 0, lane);
      builder.store(to, at, element());
    });
  };
  auto in_pieces = [&] {
    const ValueId zero = builder.constant(Scalar(dtype_, int64_t{0}));
    const BufferId vector = values_.registers(dtype_, cut.lanes, static_cast<uint32_t>(cut.lanes));
    each_lane([&](Expr lane, Expr at) {
      builder.store(vector, lane, zero);
      each_piece(values_, cut, lane, [&](const std::vector<Expr>& digits) {
        set(along, digits);
        builder.store(vector, lane, element());
      });
      builder.store(to, at, builder.load(vector, lane));
    });
  };
  values_.branch_in_range(one_run_conditions(along, cut), in_one_run, in_pieces);
}

void DigitPacking::pack(const Digits& along, const Digits& other, Expr first, int64_t lanes,
                        Expr start, Expr length, BufferId to,
                        const std::function<Expr(Expr)>& slot) {
  const Cut cut = cut_lanes(values_, along, first, lanes);
  // What guards ask for is asked once for all of a first digit that they do not depend on.
  const bool guards_know_first =
      std::any_of(guards_.begin(), guards_.end(), [&](const IndexGuard& guard) {
        const std::vector<uint32_t>& axes = other.axes[0].group_axes;
        return std::any_of(axes.begin(), axes.end(),
                           [&](uint32_t axis) { return contains_variable(guard.index, axis); });
      });
  const Innermost innermost =
      guards_.empty() || guards_know_first ? Innermost::last_digit : Innermost::first_digit;
  each_index(values_, other, innermost, start, length, [&](const std::vector<Expr>& at, Expr step) {
    set(other, at);
    store_lanes(along, cut, to, values_.simplified(slot(step)));
  });
}

void DigitPacking::pack_transposed(const PackPlace& place, int64_t step, int64_t width,
                                   Expr panel) {
  kernel::Builder& builder = values_.builder();
  const int64_t side = vector_;
  const BufferId rows = values_.local(dtype_, width * side);
  const BufferId square = values_.registers(dtype_, side * side, static_cast<uint32_t>(side));
  auto each_lane = [&](const std::function<void(Expr)>& body) {
    values_.loop(LoopKind::vector, side, body);
  };
  values_.loop(LoopKind::serial, place.count, [&](Expr p) {
    const Expr first = values_.simplified((place.first + p) * step);
    const Expr count = values_.simplified(min(Expr(step), own_.extent() - first));
    values_.loop(LoopKind::serial, ceil_div(place.length, side), [&](Expr kb) {
      pack(k_, own_, values_.simplified(place.start + kb * side), side, first, count, rows,
           [&](Expr row) { return row * side; });
      const Expr past = values_.simplified(width - count);
      values_.loop(LoopKind::serial, past, [&](Expr row) {
        const ValueId zero = builder.constant(Scalar(dtype_, int64_t{0}));
        each_lane([&](Expr lane) {
          builder.store(rows, values_.simplified((count + row) * side + lane), zero);
        });
      });
      values_.loop(LoopKind::serial, width / side, [&](Expr v) {
        values_.loop(LoopKind::unrolled, side, [&](Expr i) {
          each_lane([&](Expr lane) {
            const Expr from = values_.simplified((v * side + i) * side + lane);
            builder.store(square, values_.simplified(i * side + lane), builder.load(rows, from));
          });
        });
        builder.transpose(square);
        values_.loop(LoopKind::unrolled, side, [&](Expr i) {
          const Expr k = values_.simplified(kb * side + i);
          const Expr to = place.base + p * panel + k * width + v * side;
          values_.when_less(k, place.length, [&] {
            each_lane([&](Expr lane) {
              builder.store(place.to, values_.simplified(to + lane),
                            builder.load(square, values_.simplified(i * side + lane)));
            });
          });
        });
      });
    });
  });
}

}  // namespace plait::lower
