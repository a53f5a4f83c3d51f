// Packing a contraction's factor that does not lie linear along its own index and along k: windows,
// split axes, strided rows. Vectors run along one of the two indices, the other is counted digit by
// digit, and what a guard leaves out is zero in the packed part.
#pragma once

#include <memory>

#include "jit/lower/digits.h"

namespace plait::lower {

class DigitPacking {
 public:
  struct Factor {
    Value value;
    Tuple tuple;  // over `axes`
    std::vector<uint32_t> own, k;
  };
  // `axes`: what each axis is at the insertion point, shared with the lowering of the nest. Absent
  // where one digit an index is enough, or the factor can't be read so.
  static std::unique_ptr<DigitPacking> make(Values& values, const Graph& graph,
                                            const fusion::FusionPlan& plan, DType dtype,
                                            const Factor& factor, const std::vector<Expr>& extents,
                                            std::vector<Expr>& axes);

  const Digits& own() const { return own_; }
  const Digits& k() const { return k_; }

  // `lanes` elements along the factor's own index from `first`, for the steps [start,
  // start + length) of k: to `to` from slot(step) on.
  void pack_along_own(Expr first, int64_t lanes, Expr start, Expr length, BufferId to,
                      const std::function<Expr(Expr step)>& slot) {
    pack(own_, k_, first, lanes, start, length, to, slot);
  }
  // `lanes` steps of k from `first`, for the own indices [start, start + length).
  void pack_along_k(Expr first, int64_t lanes, Expr start, Expr length, BufferId to,
                    const std::function<Expr(Expr index)>& slot) {
    pack(k_, own_, first, lanes, start, length, to, slot);
  }

  // Where `lanes` steps of k from `first` lie; for load_along_k, in the blocks that are open.
  Cut cut_k(Expr first, int64_t lanes) { return cut_lanes(values_, k_, first, lanes); }
  // The elements there of one own index, to registers.
  void load_along_k(const Cut& cut, Expr index, BufferId to, Expr slot);

 private:
  DigitPacking(Values& values, DType dtype, const Factor& factor, const std::vector<Expr>& extents,
               std::vector<Expr>& axes)
      : values_(values),
        dtype_(dtype),
        value_(factor.value),
        tuple_(factor.tuple),
        extents_(extents),
        axes_(axes) {}

  void pack(const Digits& along, const Digits& other, Expr first, int64_t lanes, Expr start,
            Expr length, BufferId to, const std::function<Expr(Expr)>& slot);
  void set(const Digits& digits, const std::vector<Expr>& at);
  void set_lane(const Digits& along, const Cut& cut, size_t piece, Expr lane);
  Expr at_axes(Expr e) const;
  ValueId element();
  void store_lanes(const Digits& along, const Cut& cut, BufferId to, Expr slot);
  std::vector<std::pair<Expr, Expr>> one_run_conditions(const Digits& along, const Cut& cut);

  Values& values_;
  DType dtype_;
  Value value_;
  Tuple tuple_;
  const std::vector<Expr>& extents_;
  std::vector<Expr>& axes_;
  Digits own_, k_;
  std::vector<IndexGuard> guards_;
};

}  // namespace plait::lower
