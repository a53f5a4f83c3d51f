// Reductions over the rows of a loops nest, one result per inner element: dγ beside dx. A phase
// iteration takes a chunk of rows and accumulates what they add to each inner element, block by
// block (core/reduction_order.h); a second phase folds the chunks.
#pragma once

#include <functional>
#include <vector>

#include "jit/lower/reduction.h"
#include "jit/lower/values.h"

namespace plait::lower {

class AcrossRows {
 public:
  AcrossRows(Values& values, const Graph& graph) : values_(values), graph_(graph) {}

  void add(const fusion::Member& member) { members_.push_back(&member); }
  const std::vector<const fusion::Member*>& members() const { return members_; }
  bool empty() const { return members_.empty(); }

  // Before the first phase: `row_size` inner elements, so many chunks of rows.
  void allocate(Expr row_size, Expr chunks);
  // In the first phase: around the rows of a block, and for the element of one row.
  void start_block();
  void accumulate(size_t member, Expr inner_index, ValueId value);
  void end_block(Expr chunk, Expr block);
  // The second phase. `tuple_at(member, inner index)` says where a result goes.
  void fold(const std::function<Tuple(const fusion::Member&, Expr)>& tuple_at);

 private:
  Reducer reducer(size_t member);

  Values& values_;
  const Graph& graph_;
  std::vector<const fusion::Member*> members_;
  Expr row_size_, chunks_;
  std::vector<BufferId> acc_;      // of one thread, per member
  std::vector<BufferId> partial_;  // workspace: a row per chunk
};

}  // namespace plait::lower
