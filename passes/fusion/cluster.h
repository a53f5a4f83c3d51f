// A cluster: values that one nest will compute, grown from an anchor value by value.
#pragma once

#include <set>
#include <unordered_map>
#include <vector>

#include "core/index/simplify.h"
#include "passes/fusion/instance.h"
#include "passes/fusion/partition.h"
#include "passes/fusion/plan.h"
#include "passes/fusion/roles.h"

namespace plait::fusion {

// What `value` at `tuple` reads: computed values and sources, with the tuple at which it reads
// them.
struct Demand {
  Value value;
  Tuple tuple;
};
std::vector<Demand> demands_of(const Graph& graph, const Roles& roles, Value value,
                               const Tuple& tuple, const std::vector<Expr>& reduced);

class Cluster {
 public:
  Cluster(const Graph& graph, const Roles& roles, const Partition& partition, Value anchor);

  // Takes in every value that can and may be computed in the same nest.
  void grow();

  const std::vector<Value>& values() const { return order_; }
  Nest nest() const;  // without stores; members in graph order

 private:
  struct Entry {
    Tuple tuple;
    std::vector<uint32_t> reduced;
  };

  bool contains(Value v) const { return entries_.contains(v); }
  bool try_add(Value v);
  bool keeps_order(Value v);
  std::optional<Entry> place(Value v);
  std::optional<Tuple> demanded_by_member(Value v) const;
  bool can_compute_at(Value v, const Tuple& tuple, int budget) const;
  bool is_one_to_one(const Tuple& tuple, const Shape& shape, const std::set<uint32_t>& axes) const;
  bool fits(Value v, const Entry& entry) const;
  bool structure_holds(Value candidate, const Entry& entry) const;
  void leave_to_users();
  void add(Value v, Entry entry);
  void add_siblings(Value v, const Entry& entry);
  Expr simplified(Expr e) const { return simplify(e, ranges_); }

  const Graph& graph_;
  const Roles& roles_;
  const Partition& partition_;
  NestKind kind_;
  std::vector<Expr> extents_;
  Ranges ranges_;
  std::unordered_map<Value, Entry> entries_;
  std::vector<Value> order_;
  std::unordered_map<Value, Tuple> shared_;  // what members read over all axes, from outside
  std::vector<Value> open_;                  // neighbours to try
  Reach above_, below_;                      // outside values that a member needs, that need one
};

}  // namespace plait::fusion
