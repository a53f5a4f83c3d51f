// Packing a contraction's factor that lies linear along its own index and along k, or is computed
// element by element. Its sibling for all others is DigitPacking.
#pragma once

#include <functional>

#include "jit/lower/values.h"

namespace plait::lower {

// Panels that are packed side by side, so that what is read lies in longer runs.
inline constexpr int64_t kPackedPanels = 4;

// A part of k of `count` panels.
struct PackPlace {
  BufferId to;
  Expr base;           // where the first panel starts
  Expr first, count;   // panels
  Expr start, length;  // of k
};

class PlainPacking {
 public:
  using Element = std::function<ValueId(Expr index, Expr k)>;
  // A factor of `extent` by `k` elements; `vector` lanes of the hardware.
  PlainPacking(Values& values, DType dtype, int64_t vector, Expr extent, Expr k, Element element)
      : values_(values),
        builder_(values.builder()),
        dtype_(dtype),
        vector_(vector),
        extent_(extent),
        k_(k),
        element_(std::move(element)) {}

  // Panels of `width` elements a step of k, one every `step` elements of the own index and every
  // `panel` elements of the buffer; zero past the end of the factor's axis.
  void pack_panels(const PackPlace& place, int64_t step, int64_t width, Expr panel);
  // The same by vectors along k that are transposed.
  void pack_transposed(const PackPlace& place, int64_t step, int64_t width, Expr panel);
  // One element, or zero.
  void store_padded(Expr index, Expr k, BufferId to, Expr slot);

 private:
  void each_group(const PackPlace& place, const std::function<void(Expr from, Expr count)>& body);
  void straight(const PackPlace& place, Expr start, Expr base, int64_t width, Expr k);
  void transposed(const PackPlace& place, Expr start, Expr base, int64_t width);
  void load_row(Expr index, Expr k, BufferId square, Expr row, int64_t side);
  ValueId zero() { return builder_.constant(Scalar(dtype_, int64_t{0})); }

  Values& values_;
  kernel::Builder& builder_;
  DType dtype_;
  int64_t vector_;
  Expr extent_, k_;
  Element element_;
};

}  // namespace plait::lower
