// An order of a graph's values in which clusters lie in one piece, kept while they are made.
//
// What lies between two places of it is all that can lie on a path between them, so that growing a
// cluster looks at its neighbourhood and not at the whole graph.
#pragma once

#include <cstdint>
#include <queue>
#include <unordered_set>
#include <vector>

#include "passes/fusion/roles.h"

namespace plait::fusion {

// Which cluster each value is in.
struct Partition {
  std::vector<int> home;  // -1: none
  std::vector<std::vector<Value>> clusters;
};

class ClusterOrder {
 public:
  explicit ClusterOrder(const Roles& roles);

  const Roles& roles() const { return roles_; }
  const Partition& partition() const { return partition_; }
  // The first and last place of the value's cluster, or the value's own.
  uint32_t first(Value v) const;
  uint32_t last(Value v) const;

  // Makes a cluster of values that have none. `below`: all outside values up to the last of them
  // that need one of them.
  void add_cluster(const std::vector<Value>& values, const std::unordered_set<Value>& below);

 private:
  const Roles& roles_;
  Partition partition_;
  std::vector<uint32_t> place_;  // by value
  std::vector<Value> at_;        // by place
  std::vector<uint32_t> first_;  // by cluster
};

// The values outside a growing cluster that its members need (upwards) or that need one of them,
// through whole clusters; found as far as somebody asks.
class Reach {
 public:
  Reach(const ClusterOrder& order, bool upwards) : order_(&order), upwards_(upwards) {}

  // A new member, reached before or not.
  void add(Value member);
  // Whether v, which is not a member, is reached.
  bool contains(Value v);
  const std::unordered_set<Value>& up_to(uint32_t place);  // all with a first (last) place up to it

 private:
  using Entry = std::pair<int64_t, Value>;
  int64_t key(Value v) const;  // rises away from the members
  void expand(int64_t limit);
  void push_neighbours(Value v);

  const ClusterOrder* order_;
  bool upwards_;
  std::unordered_set<Value> members_, marked_;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open_;
};

}  // namespace plait::fusion
