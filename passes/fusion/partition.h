// The division of a graph's values into clusters, and what lies between them.
#pragma once

#include <functional>
#include <optional>
#include <queue>
#include <set>
#include <unordered_set>
#include <vector>

#include "passes/fusion/roles.h"

namespace plait::fusion {

// Which cluster each value is in, and a topological order of units: clusters and single values.
class Partition {
 public:
  explicit Partition(const Roles& roles);

  int home(Value v) const { return home_[v]; }  // -1: in no cluster
  const std::vector<Value>& cluster(int home) const { return clusters_[home]; }
  // One number a unit; along every edge between units it rises.
  uint64_t rank(Value v) const { return rank_[v]; }
  // Whether v is known to need `needed`: a path of last operands leads there. At once, however far.
  bool surely_needs(Value v, Value needed) const {
    return tree_begin_[v] - tree_begin_[needed] < tree_size_[needed];
  }

  // Makes single values one cluster; no path may leave it and come back. The time it takes grows
  // with what needs its members, or what they need, between the first and the last of them.
  void add_cluster(const std::vector<Value>& values);

 private:
  using Edges = std::vector<std::vector<Value>>;
  std::optional<std::vector<Value>> between(const std::vector<Value>& values, const Edges& edges,
                                            uint64_t first, uint64_t last, size_t most) const;
  std::vector<Value> members_of(Value unit) const;
  void move(std::vector<Value> units, Value cluster, bool behind);
  void set_rank(Value v, uint64_t rank);
  void respace();

  const Roles& roles_;
  std::vector<int> home_;
  std::vector<std::vector<Value>> clusters_;
  std::vector<uint64_t> rank_;
  std::set<uint64_t> ranks_;  // in use
  // Each value below its last operand: a forest, in the order of a walk, with the sizes of
  // subtrees.
  std::vector<uint32_t> tree_begin_, tree_size_;
};

// The values outside a growing cluster that its members reach along `edges`, through whole other
// clusters. Looks only as far as it is asked.
class Reach {
 public:
  using Edges = std::vector<std::vector<Value>>;
  Reach(const Partition& partition, const Edges& edges, bool upwards)
      : partition_(partition), edges_(edges), upwards_(upwards) {}

  void start_at(Value member);
  // Whether `v`, which is no member, is reached.
  bool reaches(Value v, const std::function<bool(Value)>& is_member);

 private:
  using Entry = std::pair<uint64_t, Value>;
  uint64_t distance(Value v) const { return upwards_ ? ~partition_.rank(v) : partition_.rank(v); }

  const Partition& partition_;
  const Edges& edges_;
  bool upwards_;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open_;  // nearest first
  std::unordered_set<Value> reached_;
};

}  // namespace plait::fusion
