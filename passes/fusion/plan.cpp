#include "passes/fusion/plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"
#include "core/interrupt.h"
#include "passes/fusion/axis_roles.h"
#include "passes/fusion/cluster.h"
#include "passes/fusion/roles.h"

namespace plait::fusion {
namespace {

// A nest with reductions of at most this many elements joins the launch before it rather than pay
// for its own. Elementwise nests over more than a few scalars do not: equal ones share a launch.
constexpr double kSmallReduction = 1 << 15;
constexpr double kSmallElementwise = 16;
// More than so many nests make a kernel that is slow to compile and that no other group shares.
constexpr size_t kMostNests = 16;

class Planner {
 public:
  Planner(const Graph& graph, bool fuse)
      : graph_(graph), fuse_(fuse), roles_(analyze_roles(graph, plan_.log)), partition_(roles_) {}

  FusionPlan run() {
    // Contractions first: what stands behind one belongs to its epilogue.
    for (Value v = 0; v < graph_.size(); ++v) {
      if (roles_.contractions[v] && roles_.role[v] == Role::computed) make_cluster(v);
    }
    for (Value v = 0; v < graph_.size(); ++v) {
      if (roles_.role[v] == Role::computed && partition_.home(v) < 0) make_cluster(v);
    }
    choose_stores();
    make_groups();
    return std::move(plan_);
  }

 private:
  void make_cluster(Value anchor) {
    check_interrupt();
    Cluster cluster(graph_, roles_, partition_, anchor);
    if (fuse_) cluster.grow();
    partition_.add_cluster(cluster.values());
    nests_.push_back(cluster.nest());
  }

  // From users to operands: in which nests is each value computed or read? A value that is needed
  // outside its home is stored there, or, where that is cheaper, computed again in the others.
  void choose_stores() {
    plan_.in_memory.assign(graph_.size(), false);
    needed_in_.resize(graph_.size());
    for (size_t i = graph_.size(); i-- > 0;) {
      check_interrupt();
      const auto v = static_cast<Value>(i);
      if (roles_.role[v] == Role::source) plan_.in_memory[v] = true;
      if (roles_.role[v] != Role::computed) continue;
      const int home = partition_.home(v);
      std::set<int>& needed = needed_in_[v];
      const bool outside =
          std::any_of(needed.begin(), needed.end(), [&](int nest) { return nest != home; });
      const bool store =
          !fuse_ || must_store(graph_, roles_, v) || (outside && roles_.recompute_cost[v] == kKeep);
      if (store) {
        plan_.in_memory[v] = true;
        needed = {home};
      }
      for (Value operand : roles_.real_operands[v]) {
        needed_in_[operand].insert(needed.begin(), needed.end());
      }
    }
  }

  void make_groups() {
    // Members that nothing needs at home are left out; nests without members vanish.
    for (size_t home = 0; home < nests_.size(); ++home) {
      check_interrupt();
      Nest& nest = nests_[home];
      std::erase_if(nest.members, [&](const Member& member) {
        return !needed_in_[member.value].contains(static_cast<int>(home));
      });
      for (const Member& member : nest.members) {
        if (plan_.in_memory[member.value]) nest.stores.push_back(member.value);
      }
      if (nest.kind == NestKind::loops && !nest.members.empty()) {
        const auto axes = divide_axes(graph_, roles_, nest.members, nest.extents);
        PLAIT_INTERNAL_CHECK(axes.has_value(), "the nest of %{} has no axis division",
                             nest.members.front().value);
        nest.inner = axes->inner;
      }
    }
    order_nests();
  }

  // The nests whose stores this one reads, however it computes its values.
  std::set<int> nests_before(int home) const {
    std::set<int> result;
    std::vector<Value> open;
    std::set<Value> seen;
    for (const Member& member : nests_[home].members) {
      for (Value v : roles_.real_operands[member.value]) open.push_back(v);
    }
    while (!open.empty()) {
      const Value v = open.back();
      open.pop_back();
      if (roles_.role[v] == Role::source || !seen.insert(v).second) continue;
      if (plan_.in_memory[v]) {
        if (partition_.home(v) != home) result.insert(partition_.home(v));
      } else if (partition_.home(v) != home) {
        for (Value operand : roles_.real_operands[v]) open.push_back(operand);
      }
    }
    return result;
  }

  bool is_small(const Nest& nest) const {
    const bool reduces = std::any_of(nest.members.begin(), nest.members.end(),
                                     [](const Member& member) { return !member.reduced.empty(); });
    return nest.kind != NestKind::sort &&
           estimated_elements(nest.extents) <= (reduces ? kSmallReduction : kSmallElementwise);
  }

  // Kahn's order by the first value stored; a small nest joins the group of its latest
  // predecessor, which makes no cycle since every other predecessor comes before that one.
  void order_nests() {
    const int count = static_cast<int>(nests_.size());
    std::vector<std::set<int>> before(count);
    std::vector<std::vector<int>> after(count);
    std::set<std::pair<Value, int>> ready;
    std::vector<size_t> missing(count);
    for (int home = 0; home < count; ++home) {
      check_interrupt();
      if (nests_[home].members.empty()) continue;
      before[home] = nests_before(home);
      missing[home] = before[home].size();
      for (int earlier : before[home]) after[earlier].push_back(home);
      if (before[home].empty()) ready.emplace(first_value(home), home);
    }
    std::vector<int> group_of(count, -1);
    std::vector<bool> waits(count, false);  // small and first: goes with what reads it
    size_t done = 0;
    while (!ready.empty()) {
      const int home = ready.begin()->second;
      ready.erase(ready.begin());
      ++done;
      for (int later : after[home]) {
        if (--missing[later] == 0) ready.emplace(first_value(later), later);
      }
      const bool small = fuse_ && is_small(nests_[home]);
      if (small && before[home].empty() && !after[home].empty()) {
        waits[home] = true;
        continue;
      }
      std::vector<int> waiting;
      int group = -1;
      for (int earlier : before[home]) {
        if (waits[earlier]) waiting.push_back(earlier);
        waits[earlier] = false;
        group = std::max(group, group_of[earlier]);
      }
      auto append = [&](int nest, int to) {
        group_of[nest] = to;
        plan_.groups[to].nests.push_back(nests_[nest]);
      };
      auto new_group = [&] {
        plan_.groups.emplace_back();
        return static_cast<int>(plan_.groups.size()) - 1;
      };
      const bool together = waiting.size() < kMostNests;
      if (!together) {
        for (int earlier : waiting) append(earlier, new_group());
        waiting.clear();
      }
      const bool joins = small && together && group >= 0 &&
                         plan_.groups[group].nests.front().kind != NestKind::sort &&
                         plan_.groups[group].nests.size() + waiting.size() < kMostNests;
      if (!joins) group = new_group();
      for (int earlier : waiting) append(earlier, group);
      append(home, group);
    }
    const size_t nonempty = static_cast<size_t>(std::count_if(
        nests_.begin(), nests_.end(), [](const Nest& nest) { return !nest.members.empty(); }));
    PLAIT_INTERNAL_CHECK(done == nonempty, "{} of {} nests lie on a cycle", nonempty - done,
                         nonempty);
  }

  Value first_value(int home) const { return nests_[home].members.front().value; }

  static constexpr double kKeep = std::numeric_limits<double>::infinity();
  const Graph& graph_;
  bool fuse_;
  FusionPlan plan_;
  Roles roles_;
  Partition partition_;
  std::vector<Nest> nests_;               // by cluster
  std::vector<std::set<int>> needed_in_;  // per value: the nests that compute or read it
};

std::string tuple_text(const std::vector<Expr>& tuple) {
  std::string text;
  for (Expr e : tuple) text += (text.empty() ? "" : ", ") + to_string(e);
  return "[" + text + "]";
}

const char* name_of(NestKind kind) {
  switch (kind) {
    case NestKind::loops:
      return "loops";
    case NestKind::contraction:
      return "contraction";
    case NestKind::scatter:
      return "scatter";
    case NestKind::scan:
      return "scan";
    case NestKind::sort:
      return "sort";
  }
  PLAIT_UNREACHABLE("nest kind {}", static_cast<int>(kind));
}

}  // namespace

FusionPlan plan_fusion(const Graph& graph, bool fuse) { return Planner(graph, fuse).run(); }

std::string to_text(const Graph& graph, const FusionPlan& plan) {
  std::string text;
  for (size_t g = 0; g < plan.groups.size(); ++g) {
    text += fmt::format("group {}\n", g);
    for (const Nest& nest : plan.groups[g].nests) {
      text += fmt::format("  {} over {}", name_of(nest.kind), tuple_text(nest.extents));
      if (!nest.inner.empty()) text += fmt::format(" inner {}", fmt::join(nest.inner, ", "));
      const bool pairs = nest.contraction && nest.contraction->order == ContractionOrder::pairs;
      text += pairs ? " in pairs\n" : "\n";
      for (const Member& member : nest.members) {
        const Node& node = graph.node(member.value);
        const bool stored =
            std::find(nest.stores.begin(), nest.stores.end(), member.value) != nest.stores.end();
        text +=
            fmt::format("    {}%{} {}{} : {}\n", stored ? "store " : "", member.value,
                        plait::name_of(node.op), tuple_text(member.tuple), to_string(node.type));
      }
    }
  }
  for (const std::string& line : plan.log) text += line + '\n';
  return text;
}

}  // namespace plait::fusion
