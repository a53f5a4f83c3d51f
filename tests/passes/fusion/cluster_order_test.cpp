// The order of clusters against a search of the whole graph, on random graphs.
#include "passes/fusion/cluster_order.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <set>

namespace plait::fusion {
namespace {

Roles random_roles(std::mt19937& random, size_t count) {
  Roles roles;
  roles.role.assign(count, Role::computed);
  roles.real_operands.resize(count);
  roles.real_users.resize(count);
  for (Value v = 1; v < count; ++v) {
    for (uint32_t i = 0; i < random() % 3; ++i) {
      const Value operand = v - 1 - random() % std::min<Value>(v, 12);
      roles.real_operands[v].push_back(operand);
      roles.real_users[operand].push_back(v);
    }
  }
  return roles;
}

// All that members reach, through whole clusters; not the members.
std::set<Value> search(const ClusterOrder& order, const std::vector<Value>& members, bool upwards) {
  const auto& edges = upwards ? order.roles().real_operands : order.roles().real_users;
  std::set<Value> inside(members.begin(), members.end()), seen;
  std::vector<Value> open = members;
  while (!open.empty()) {
    const Value v = open.back();
    open.pop_back();
    for (Value next : edges[v]) {
      if (!inside.contains(next) && seen.insert(next).second) open.push_back(next);
    }
    const int home = order.partition().home[v];
    if (home < 0) continue;
    for (Value other : order.partition().clusters[home]) {
      if (seen.insert(other).second) open.push_back(other);
    }
  }
  return seen;
}

void check_order(const ClusterOrder& order) {
  for (Value v = 0; v < order.partition().home.size(); ++v) {
    for (Value operand : order.roles().real_operands[v]) {
      const int home = order.partition().home[v];
      if (home >= 0 && home == order.partition().home[operand]) continue;
      REQUIRE(order.last(operand) < order.first(v));
    }
  }
}

}  // namespace

TEST_CASE("clusters stay in one piece, in an order of the graph") {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    const size_t count = 20 + random() % 100;
    const Roles roles = random_roles(random, count);
    ClusterOrder order(roles);
    for (Value anchor = 0; anchor < count; ++anchor) {
      if (order.partition().home[anchor] >= 0) continue;
      std::vector<Value> members = {anchor};
      Reach above(order, true), below(order, false);
      above.add(anchor);
      below.add(anchor);
      for (int tries = 0; tries < 20; ++tries) {
        const Value v = random() % count;
        const bool is_member = std::find(members.begin(), members.end(), v) != members.end();
        if (is_member || order.partition().home[v] >= 0) continue;
        const std::set<Value> over = search(order, members, true);
        const std::set<Value> under = search(order, members, false);
        REQUIRE(above.contains(v) == over.contains(v));
        REQUIRE(below.contains(v) == under.contains(v));
        bool joins = true;
        for (Value operand : roles.real_operands[v]) joins &= !under.contains(operand);
        for (Value user : roles.real_users[v]) joins &= !over.contains(user);
        // Also neither may be reached from the other through values that lie between.
        joins &= over.contains(v) || under.contains(v) || random() % 2 == 0;
        if (!joins) continue;
        members.push_back(v);
        above.add(v);
        below.add(v);
      }
      uint32_t last = 0;
      for (Value v : members) last = std::max(last, order.last(v));
      order.add_cluster(members, below.up_to(last));
      check_order(order);
    }
  }
}

}  // namespace plait::fusion
