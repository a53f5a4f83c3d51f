#include "passes/fusion/partition.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace plait::fusion {

Partition::Partition(const Roles& roles)
    : roles_(roles),
      home_(roles.role.size(), -1),
      order_(roles.role.size()),
      rank_(roles.role.size()),
      tree_begin_(roles.role.size()),
      tree_size_(roles.role.size(), 1) {
  // By depth: what is early in the order can be computed early, wherever it stands in the graph.
  const std::vector<std::vector<Value>>& operands = roles.real_operands;
  std::vector<uint32_t> depth(operands.size(), 0);
  for (size_t v = 0; v < operands.size(); ++v) {
    for (Value operand : operands[v]) depth[v] = std::max(depth[v], depth[operand] + 1);
  }
  std::iota(order_.begin(), order_.end(), 0);
  std::ranges::stable_sort(order_, {}, [&](Value v) { return depth[v]; });
  for (uint32_t i = 0; i < order_.size(); ++i) rank_[order_[i]] = i;
  for (size_t v = operands.size(); v-- > 0;) {
    if (!operands[v].empty()) tree_size_[operands[v].back()] += tree_size_[v];
  }
  std::vector<uint32_t> next(operands.size());
  uint32_t next_root = 0;
  for (size_t v = 0; v < operands.size(); ++v) {
    uint32_t& place = operands[v].empty() ? next_root : next[operands[v].back()];
    tree_begin_[v] = place;
    place += tree_size_[v];
    next[v] = tree_begin_[v] + 1;
  }
}

void Partition::add_cluster(const std::vector<Value>& values) {
  const int home = static_cast<int>(clusters_.size());
  clusters_.push_back(values);
  for (Value v : values) {
    PLAIT_INTERNAL_CHECK(home_[v] < 0, "%{} is in two clusters", v);
    home_[v] = home;
  }
  const auto by_rank = [&](Value a, Value b) { return rank_[a] < rank_[b]; };
  const auto [first, last] = std::minmax_element(values.begin(), values.end(), by_rank);
  const uint32_t begin = rank_[*first], end = rank_[*last] + 1;

  // What the cluster needs comes before it, the rest of the stretch behind it.
  std::unordered_set<Value> needed;
  std::vector<Value> open;
  for (Value v : values) {
    const std::vector<Value>& operands = roles_.real_operands[v];
    open.insert(open.end(), operands.begin(), operands.end());
  }
  while (!open.empty()) {
    const Value v = open.back();
    open.pop_back();
    if (rank_[v] < begin || home_[v] == home || !needed.insert(v).second) continue;
    const std::vector<Value>& operands = roles_.real_operands[v];
    open.insert(open.end(), operands.begin(), operands.end());
    if (home_[v] < 0) continue;
    const std::vector<Value>& whole = clusters_[home_[v]];
    open.insert(open.end(), whole.begin(), whole.end());
  }
  std::vector<Value> stretch;
  const auto take = [&](auto&& belongs) {
    for (uint32_t i = begin; i < end; ++i) {
      if (belongs(order_[i])) stretch.push_back(order_[i]);
    }
  };
  take([&](Value v) { return needed.contains(v); });
  take([&](Value v) { return home_[v] == home; });
  take([&](Value v) { return home_[v] != home && !needed.contains(v); });
  for (uint32_t i = begin; i < end; ++i) {
    const Value v = stretch[i - begin];
    const bool follows = i > begin && home_[v] >= 0 && home_[v] == home_[order_[i - 1]];
    order_[i] = v;
    rank_[v] = follows ? rank_[order_[i - 1]] : i;
  }
}

void Reach::start_at(Value member) {
  for (Value next : edges_[member]) open_.emplace(distance(next), next);
}

bool Reach::reaches(Value v, const std::function<bool(Value)>& is_member) {
  while (!open_.empty() && open_.top().first <= distance(v)) {
    const Value next = open_.top().second;
    open_.pop();
    if (is_member(next) || !reached_.insert(next).second) continue;
    for (Value beyond : edges_[next]) open_.emplace(distance(beyond), beyond);
    const int home = partition_.home(next);
    if (home < 0) continue;
    for (Value other : partition_.cluster(home)) open_.emplace(distance(other), other);
  }
  return reached_.contains(v);
}

}  // namespace plait::fusion
