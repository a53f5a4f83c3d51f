// Packing a contraction's factor that does not lie linear along its own index and along k: windows,
// split axes, strided rows. Vectors run along one of the two indices, the other is counted digit by
// digit, and what a guard leaves out is zero in the packed part.
#pragma once

#include <memory>

#include "jit/lower/digits.h"
#include "jit/lower/plain_packing.h"

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
                                            std::vector<Expr>& axes, int64_t vector);

  const Digits& own() const { return own_; }
  const Digits& k() const { return k_; }

  // Whether vectors rather run along k than along the factor's own index: where more lanes lie in a
  // run. The flags say which of the two ends in neighbours in memory.
  bool runs_along_k(bool own_contiguous, bool k_contiguous) const;

  // Panels of `width` elements a step of k, one every `step` elements of the own index and every
  // `panel` elements of the buffer.
  void pack_panels(const PackPlace& place, int64_t step, int64_t width, Expr panel);
  // The `step` rows of each panel as they lie along k, `pitch` apart; zeros in place of those past
  // the last.
  void pack_rows(const PackPlace& place, int64_t step, int64_t pitch);

  // As pack_panels, by vectors along k that are transposed.
  void pack_transposed(const PackPlace& place, int64_t step, int64_t width, Expr panel);

 private:
  DigitPacking(Values& values, DType dtype, const Factor& factor, const std::vector<Expr>& extents,
               std::vector<Expr>& axes, int64_t vector)
      : values_(values),
        dtype_(dtype),
        value_(factor.value),
        tuple_(factor.tuple),
        extents_(extents),
        axes_(axes),
        vector_(vector) {}

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
  int64_t vector_;  // lanes of the hardware
  Digits own_, k_;
  std::vector<IndexGuard> guards_;
};

}  // namespace plait::lower
