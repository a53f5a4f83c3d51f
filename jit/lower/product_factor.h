// One factor of a product: how its elements lie along its own axis (m or n) and along k, and how
// its panels are packed.
#pragma once

#include "jit/lower/digit_packing.h"
#include "jit/lower/nests.h"
#include "jit/lower/plain_packing.h"
#include "jit/lower/product_axes.h"
#include "jit/lower/product_tiles.h"

namespace plait::lower {

class ProductFactor {
 public:
  // Over `own` and k; `other` is the other factor's axis.
  ProductFactor(const NestContext& context, ProductAxes& axes, Value value, const Tuple& tuple,
                const LoopAxis& own, const LoopAxis& other);

  Expr extent() const { return own_.extent; }
  bool lies_along_k() const;    // one load of the compute dtype, always in range
  bool lies_along_own() const;  // at most to be computed from what lies so
  bool packs_along_k() const;   // vectors of what is packed run along k
  bool lies_in_tiles() const;   // rows of bf16 along k
  // Where its own axis or k are more than one run each.
  const DigitPacking* digits() const { return digits_.get(); }

  ValueId element(Expr index, Expr k);
  // One element, or zero.
  void store_padded(Expr index, Expr k, BufferId to, Expr slot);

  // Panels of `width` elements a step of k, one every `step` elements of the own index and every
  // `panel` elements of the buffer.
  void pack_panels(const PackPlace& place, int64_t step, int64_t width, Expr panel);
  // By digits, the `step` rows of each panel as they lie along k, `pitch` apart.
  void pack_rows(const PackPlace& place, int64_t step, int64_t pitch);
  // Rows of bf16 as they lie, `step` of them a panel, in matrix registers.
  void pack_tiles(MatrixTile& tile, const PackPlace& place, int64_t step, Expr panel);

 private:
  void forget_other_axis() { axes_.set(other_, Expr()); }
  PlainPacking plain();

  const Graph& graph_;
  Values& values_;
  ProductAxes& axes_;
  Value value_;
  Tuple tuple_;
  LoopAxis own_, other_;
  DType dtype_;
  int64_t vector_;  // lanes of the hardware
  FactorLayout layout_;
  std::unique_ptr<DigitPacking> digits_;
};

}  // namespace plait::lower
