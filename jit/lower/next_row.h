// What a loop over short rows will read next, fetched while the present row is computed: a row
// often is a page, and the hardware's prefetching does not look past its end.
#pragma once

#include <vector>

#include "jit/lower/values.h"

namespace plait::lower {

class NextRow {
 public:
  explicit NextRow(Values& values) : values_(values) {}

  // The variable that moves on from row to row.
  void set_row(Expr variable) { row_ = variable; }
  // Reads that Values placed since there were `reads_before`, for the element `inner_index` of the
  // row: those that move with the row alone are noted.
  void note(size_t reads_before, Expr inner_index);
  // The part of the next row that is `elements` from `first` on.
  void prefetch(Expr first, int64_t elements) const;

 private:
  Values& values_;
  Expr row_;
  std::vector<Values::MemoryRead> reads_;  // where the next row starts
};

}  // namespace plait::lower
