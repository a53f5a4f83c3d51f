// What a loop will touch soon, fetched beside its computation: the hardware looks ahead within a
// page only, and not at all for what is merely written.
#pragma once

#include <vector>

#include "jit/lower/values.h"

namespace plait::lower {

// The cache lines of `elements` of a buffer from `first` on.
void prefetch_lines(Values& values, BufferId buffer, Expr first, int64_t elements);

class Prefetcher {
 public:
  explicit Prefetcher(Values& values) : values_(values) {}

  // Variables of the loops around a row; the last moves on from row to row.
  void set_loops(const std::vector<Expr>& variables);
  // That element `at` of the row is read or written. Elements that do not lie one after the other
  // are not fetched.
  void note(const Values::MemoryAccess& access, Expr at);
  // Elements of the next row, `first` on.
  void next_row(Expr first, int64_t elements) const;
  // What follows `first` in this row of `length`, at some distance.
  void ahead(Expr first, int64_t elements, Expr length) const;

 private:
  bool depends_on_row(Expr e) const;
  Expr in_next_row(Expr e) const;

  Values& values_;
  std::vector<uint32_t> loops_;                 // variables
  std::vector<Values::MemoryAccess> accesses_;  // where the row starts
};

}  // namespace plait::lower
