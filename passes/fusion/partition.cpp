#include "passes/fusion/partition.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <unordered_map>

#include "core/error.h"

namespace plait::fusion {

namespace {

constexpr uint64_t kSpacing = uint64_t{1} << 32;

}  // namespace

Partition::Partition(const Roles& roles)
    : roles_(roles),
      home_(roles.role.size(), -1),
      rank_(roles.role.size()),
      tree_begin_(roles.role.size()),
      tree_size_(roles.role.size(), 1) {
  // By depth: what is early in the order can be computed early, wherever it stands in the graph.
  const Edges& operands = roles.real_operands;
  std::vector<uint32_t> depth(operands.size(), 0);
  for (size_t v = 0; v < operands.size(); ++v) {
    for (Value operand : operands[v]) depth[v] = std::max(depth[v], depth[operand] + 1);
  }
  std::vector<Value> order(operands.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](Value v) { return depth[v]; });
  for (size_t i = 0; i < order.size(); ++i) set_rank(order[i], (i + 1) * kSpacing);

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

void Partition::set_rank(Value v, uint64_t rank) {
  rank_[v] = rank;
  ranks_.insert(ranks_.end(), rank);
}

void Partition::add_cluster(const std::vector<Value>& values) {
  for (Value v : values) PLAIT_INTERNAL_CHECK(home_[v] < 0, "%{} is in two clusters", v);
  const auto by_rank = [&](Value a, Value b) { return rank_[a] < rank_[b]; };
  const auto [min, max] = std::minmax_element(values.begin(), values.end(), by_rank);
  const uint64_t first = rank_[*min], last = rank_[*max];
  // The cluster stands where its last member stood and what needs a member behind it, or where its
  // first stood and what a member needs before it: what is found sooner.
  std::optional<std::vector<Value>> behind, before;
  for (size_t most = 64; !behind && !before; most *= 2) {
    behind = between(values, roles_.real_users, first, last, most);
    if (!behind) before = between(values, roles_.real_operands, first, last, most);
  }
  const uint64_t rank = behind ? last : first;
  for (Value v : values) {
    home_[v] = static_cast<int>(clusters_.size());
    if (rank_[v] != rank) ranks_.erase(rank_[v]);
    rank_[v] = rank;
  }
  clusters_.push_back(values);
  move(behind ? std::move(*behind) : std::move(*before), values.front(), behind.has_value());
}

std::vector<Value> Partition::members_of(Value v) const {
  return home_[v] < 0 ? std::vector<Value>{v} : clusters_[home_[v]];
}

// One value of each unit of ranks in (first, last) that `values` reach, or nothing if they are
// many.
std::optional<std::vector<Value>> Partition::between(const std::vector<Value>& values,
                                                     const Edges& edges, uint64_t first,
                                                     uint64_t last, size_t most) const {
  std::unordered_set<uint64_t> found;
  const std::unordered_set<Value> members(values.begin(), values.end());
  std::vector<Value> result, open;
  for (Value v : values) open.insert(open.end(), edges[v].begin(), edges[v].end());
  while (!open.empty()) {
    const Value v = open.back();
    open.pop_back();
    if (rank_[v] <= first || rank_[v] >= last || members.contains(v)) continue;
    if (!found.insert(rank_[v]).second) continue;
    if (result.size() == most) return std::nullopt;
    result.push_back(v);
    for (Value member : members_of(v)) {
      open.insert(open.end(), edges[member].begin(), edges[member].end());
    }
  }
  return result;
}

// Gives the units ranks next to the cluster's, in the order they had.
void Partition::move(std::vector<Value> units, Value cluster, bool behind) {
  if (units.empty()) return;
  const auto gap = [&] {
    const auto place = ranks_.find(rank_[cluster]);
    if (!behind) return std::pair(place == ranks_.begin() ? 0 : *std::prev(place), *place);
    return std::pair(*place, std::next(place) == ranks_.end() ? *place + kSpacing * units.size()
                                                              : *std::next(place));
  };
  auto [low, high] = gap();
  if (high - low <= units.size()) {
    respace();
    std::tie(low, high) = gap();
  }
  std::ranges::sort(units, {}, [&](Value v) { return rank_[v]; });
  const uint64_t step = (high - low) / (units.size() + 1);
  for (Value unit : units) {
    ranks_.erase(rank_[unit]);
    low += step;
    ranks_.insert(low);
    for (Value member : members_of(unit)) rank_[member] = low;
  }
}

void Partition::respace() {
  std::unordered_map<uint64_t, uint64_t> renamed;
  std::set<uint64_t> spaced;
  for (uint64_t rank : ranks_) {
    renamed[rank] = (spaced.size() + 1) * kSpacing;
    spaced.insert(spaced.end(), renamed[rank]);
  }
  for (uint64_t& rank : rank_) rank = renamed.at(rank);
  ranks_ = std::move(spaced);
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
