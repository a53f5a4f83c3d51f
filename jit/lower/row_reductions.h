// Reductions of a loops nest with one result a row, in the order of core/reduction_order.h:
// registers of lanes fold the elements of a block, the blocks of a chunk, and the chunks of a row.
// Lanes are parts of one row, or rows of their own.
#pragma once

#include <functional>
#include <vector>

#include "jit/lower/reduction.h"
#include "jit/lower/values.h"

namespace plait::lower {

class RowReductions {
 public:
  RowReductions(Values& values, const Graph& graph) : values_(values), graph_(graph) {}

  void add(const fusion::Member& member);
  const std::vector<const fusion::Member*>& members() const { return members_; }
  bool empty() const { return members_.empty(); }
  // The level whose loops pass over a reduction's operand.
  void set_levels(const std::function<int(const fusion::Member&)>& level_of_operand);
  int level(size_t number) const { return reductions_[number].level; }
  bool any(int level) const;

  void make_accumulators(bool lanes_are_rows);

  // Around and inside the loops over chunks, blocks and elements of a level. A chunk of `one_block`
  // has no start and end of its block.
  void start_row(int level);
  void start_chunk(int level, bool one_block);
  void start_block(int level);
  void accumulate(int level, Expr lane, Expr position,
                  const std::function<ValueId(const fusion::Member&)>& operand);
  void end_block(int level);
  void end_chunk(int level, bool one_block);
  // After the last chunk; of the row of `lane` where lanes are rows.
  ValueId result(size_t number, Expr lane);

  // Where chunks run in parallel: their totals, `count` of them for each lane that is a row.
  void make_partial(Expr count);
  void store_partial(Expr chunk, Expr lane);
  void add_partial(Expr chunk, Expr lane);

 private:
  using Registers = std::vector<BufferId>;  // one for each part of a value
  // kLanes registers each; `total` has one element where lanes are parts of one row.
  struct Reduction {
    Reducer reducer;
    int level = 0;
    Registers acc, sum, total;  // of a block, a chunk, a row
    std::vector<BufferId> partial;
  };

  template <class F>
  void for_level(int level, F&& f) {
    for (Reduction& reduction : reductions_) {
      if (reduction.level == level) f(reduction);
    }
  }
  void all_lanes(const std::function<void(Expr)>& body);
  void set_identity(Reduction& reduction, const Registers& registers, Expr lane);
  void add_to(Reduction& reduction, const Registers& registers, Expr lane, const Parts& next);
  Parts load(const Registers& registers, Expr lane);
  Expr partial_slot(Expr chunk, Expr lane) const;

  Values& values_;
  const Graph& graph_;
  std::vector<const fusion::Member*> members_;
  std::vector<Reduction> reductions_;  // by member
  bool lanes_are_rows_ = false;
};

}  // namespace plait::lower
