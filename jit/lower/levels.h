// The levels of a loops nest: level k can be computed once the reductions of the levels below are
// complete. Values of a lower level that a higher one needs and that cost too much to compute again
// get a row buffer.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "core/index/simplify.h"
#include "jit/kernel/kir.h"
#include "passes/fusion/instance.h"
#include "passes/fusion/plan.h"

namespace plait::lower {

struct RowBuffer {
  Value value;
  fusion::Tuple tuple;  // over group axes
  int level;            // where it is filled
  kernel::BufferId id = 0;
  bool allocated = false;
};

class Levels {
 public:
  Levels(const Graph& graph, const fusion::FusionPlan& plan, const fusion::Nest& nest);

  // A member that the nest computes: it, or (reductions) its operand, is needed at its level.
  void add_target(const fusion::Member& member, bool operand);
  void choose_row_buffers();

  int count() const { return count_; }
  // Of the levels below `limit`, the one with the most to compute.
  int busiest_below(int limit) const;
  int level_of(const fusion::Member& member) { return info(member.value, member.tuple).level; }
  int level_of_operand(const fusion::Member& member) const;
  // Has no inner axis: one value per row.
  bool is_row_level(const fusion::Member& member) const { return !uses_inner(member.tuple); }
  std::vector<RowBuffer>& row_buffers() { return row_buffers_; }

 private:
  struct Info {
    int level = 0;
    double cost = 0;     // to compute it again from memory and rows, in simple operations
    bool inner = false;  // depends on an inner axis
  };
  struct KeyLess {
    bool operator()(const std::pair<Value, fusion::Tuple>& a,
                    const std::pair<Value, fusion::Tuple>& b) const;
  };
  using Instance = std::pair<Value, fusion::Tuple>;

  const Info& info(Value v, const fusion::Tuple& tuple);
  std::vector<Instance> operands(Value v, const fusion::Tuple& tuple) const;
  Instance operand_of(const fusion::Member& member) const;
  bool uses_inner(const fusion::Tuple& tuple) const;
  bool is_loaded(Value v) const;
  void keep_for(int level, Value v, const fusion::Tuple& tuple);

  const Graph& graph_;
  const fusion::FusionPlan& plan_;
  const fusion::Nest& nest_;
  Ranges ranges_;
  std::map<Value, const fusion::Member*> members_;
  std::map<Instance, Info, KeyLess> infos_;
  std::map<Value, int> operand_levels_;
  std::vector<std::vector<Instance>> targets_;  // by level
  std::vector<RowBuffer> row_buffers_;
  std::vector<std::set<Instance, KeyLess>> looked_at_;  // by level, when buffers are chosen
  std::vector<double> work_;                            // by level, in simple operations
  int count_ = 1;
};

}  // namespace plait::lower
