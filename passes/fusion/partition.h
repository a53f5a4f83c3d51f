// The division of a graph's values into clusters, and what lies between them.
#pragma once

#include <functional>
#include <queue>
#include <unordered_set>
#include <vector>

#include "passes/fusion/roles.h"

namespace plait::fusion {

// Which cluster each value is in, and a topological order of clusters and single values. A cluster
// has one rank; along every edge that leaves it ranks rise.
class Partition {
 public:
  explicit Partition(const Roles& roles);

  int home(Value v) const { return home_[v]; }  // -1: in no cluster
  const std::vector<Value>& cluster(int home) const { return clusters_[home]; }
  size_t size() const { return clusters_.size(); }
  uint32_t rank(Value v) const { return rank_[v]; }
  // Whether v is known to need `needed`: a path of last operands leads there. At once, however far.
  bool surely_needs(Value v, Value needed) const {
    return tree_begin_[v] - tree_begin_[needed] < tree_size_[needed];
  }

  // Makes single values one cluster; no path may leave it and come back. Takes time by how far
  // they lie apart in the order, not by the size of the graph.
  void add_cluster(const std::vector<Value>& values);

 private:
  const Roles& roles_;
  std::vector<int> home_;
  std::vector<std::vector<Value>> clusters_;
  std::vector<Value> order_;    // clusters lie together
  std::vector<uint32_t> rank_;  // by value: the position of its cluster's first
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
  using Entry = std::pair<uint32_t, Value>;
  uint32_t distance(Value v) const { return upwards_ ? ~partition_.rank(v) : partition_.rank(v); }

  const Partition& partition_;
  const Edges& edges_;
  bool upwards_;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open_;  // nearest first
  std::unordered_set<Value> reached_;
};

}  // namespace plait::fusion
