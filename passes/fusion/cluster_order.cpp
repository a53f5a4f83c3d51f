#include "passes/fusion/cluster_order.h"

#include <algorithm>
#include <numeric>

namespace plait::fusion {

ClusterOrder::ClusterOrder(const Roles& roles) : roles_(roles) {
  const size_t count = roles.role.size();
  partition_.home.assign(count, -1);
  place_.resize(count);
  at_.resize(count);
  std::iota(place_.begin(), place_.end(), 0);
  std::iota(at_.begin(), at_.end(), 0);
}

uint32_t ClusterOrder::first(Value v) const {
  const int home = partition_.home[v];
  return home < 0 ? place_[v] : first_[home];
}

uint32_t ClusterOrder::last(Value v) const {
  const int home = partition_.home[v];
  if (home < 0) return place_[v];
  return first_[home] + static_cast<uint32_t>(partition_.clusters[home].size()) - 1;
}

void ClusterOrder::add_cluster(const std::vector<Value>& values,
                               const std::unordered_set<Value>& below) {
  const int home = static_cast<int>(partition_.clusters.size());
  uint32_t from = place_[values.front()], to = from;
  for (Value v : values) {
    from = std::min(from, place_[v]);
    to = std::max(to, place_[v]);
    partition_.home[v] = home;
  }
  partition_.clusters.push_back(values);
  // What need not come later, the cluster, what must come later; each as it was.
  std::vector<Value> before, members, after;
  for (uint32_t place = from; place <= to; ++place) {
    const Value v = at_[place];
    if (partition_.home[v] == home) {
      members.push_back(v);
    } else {
      (below.contains(v) ? after : before).push_back(v);
    }
  }
  first_.push_back(from + static_cast<uint32_t>(before.size()));
  uint32_t place = from;
  int latest = -1;
  for (const std::vector<Value>* part : {&before, &members, &after}) {
    for (Value v : *part) {
      const int moved = partition_.home[v];
      if (moved >= 0 && moved != latest) first_[moved] = place;
      latest = moved;
      place_[v] = place;
      at_[place++] = v;
    }
  }
}

int64_t Reach::key(Value v) const {
  return upwards_ ? -int64_t{order_->last(v)} : int64_t{order_->first(v)};
}

void Reach::push_neighbours(Value v) {
  const Roles& roles = order_->roles();
  for (Value next : upwards_ ? roles.real_operands[v] : roles.real_users[v]) {
    if (!marked_.contains(next)) open_.emplace(key(next), next);
  }
}

void Reach::add(Value member) {
  members_.insert(member);
  marked_.erase(member);
  push_neighbours(member);
}

void Reach::expand(int64_t limit) {
  while (!open_.empty() && open_.top().first <= limit) {
    const Value next = open_.top().second;
    open_.pop();
    if (members_.contains(next) || !marked_.insert(next).second) continue;
    push_neighbours(next);
    const int home = order_->partition().home[next];
    if (home < 0) continue;
    for (Value other : order_->partition().clusters[home]) {
      if (marked_.insert(other).second) push_neighbours(other);
    }
  }
}

bool Reach::contains(Value v) {
  expand(key(v));
  return marked_.contains(v);
}

const std::unordered_set<Value>& Reach::up_to(uint32_t place) {
  expand(upwards_ ? -int64_t{place} : int64_t{place});
  return marked_;
}

}  // namespace plait::fusion
