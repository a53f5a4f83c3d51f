// The end of a product: its results, and what else its nest stores, from sums of rows and columns.
#pragma once

#include "jit/lower/digits.h"
#include "jit/lower/nests.h"
#include "jit/lower/product_axes.h"
#include "jit/lower/result_elements.h"
#include "jit/lower/tiling.h"

namespace plait::lower {

// Rows of sums in memory.
struct SumsPlace {
  BufferId buffer;
  Expr at;
  int64_t pitch;
};

// Loops over the elements of a row of sums, vector by vector.
void each_in_row(Values& values, Expr vectors, int64_t lanes,
                 const std::function<void(Expr in_row)>& body);

class ProductEnd {
 public:
  // `axes`: the sides are chosen, lanes run along n.
  ProductEnd(const NestContext& context, ProductAxes& axes);

  double cost() const { return cost_; }  // operations an element
  bool cuts_vectors() const { return digits_.axes.size() > 1; }

  // Fetches what the end of one tile reads and writes.
  void prefetch(Expr row, Expr column, const Tiling& tiling);
  void store(Expr row, Expr column, const std::function<ValueId()>& product);
  // The rows of one tile that exist; `vectors` of each.
  void store_rows(const SumsPlace& sums, Expr row, Expr column, Expr vectors, const Tiling& tiling);

 private:
  void store_cuts(const SumsPlace& sums, Expr row, Expr rows, Expr column, Expr vectors,
                  int64_t lanes);
  void store_here(ValueId product);
  const Tuple& tuple_of(Value v) const;

  const NestContext& context_;
  ProductAxes& axes_;
  Values& values_;
  kernel::Builder& builder_;
  Value product_;
  Digits digits_;
  std::vector<ResultElement> elements_;
  double cost_ = 0;
};

}  // namespace plait::lower
