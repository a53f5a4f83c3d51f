#include "passes/fusion/cluster.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/log.h"
#include "passes/fusion/axis_roles.h"
#include "passes/fusion/solve.h"

namespace plait::fusion {
namespace {

// Expressions of a nest must stay small enough to compile well.
constexpr size_t kMostMembers = 192;
// Unknown axes of a value that is being placed; far above any group axis or k variable.
constexpr uint32_t kUnknown = 1u << 20;

size_t axes_of_many(const std::vector<Expr>& extents) {
  return static_cast<size_t>(std::count_if(extents.begin(), extents.end(),
                                           [](Expr extent) { return !extent.is_constant(1); }));
}

void append_element_demands(Expr e, std::vector<Demand>& demands) {
  replace_elements(e, [&](uint32_t tensor, std::span<const Expr> indices) {
    demands.push_back({tensor, {indices.begin(), indices.end()}});
    return Expr();
  });
}

// Of an op with loops of its own.
NestKind own_nest(MetaOp op) {
  if (op == MetaOp::scatter) return NestKind::scatter;
  if (op == MetaOp::scan) return NestKind::scan;
  PLAIT_INTERNAL_CHECK(op == MetaOp::sort, "{} has no nest", name_of(op));
  return NestKind::sort;
}

}  // namespace

std::vector<Demand> demands_of(const Graph& graph, const Roles& roles, Value value,
                               const Tuple& tuple, const std::vector<Expr>& reduced) {
  std::vector<Demand> result, open;
  auto read_operands = [&](Value v, const Tuple& at) {
    const Node& node = graph.node(v);
    const bool reindex = node.op == MetaOp::reindex;
    const size_t count = reindex ? 1 : node.operands.size();
    for (size_t i = 0; i < count; ++i) {
      open.push_back({node.operands[i], operand_tuple(graph, node, at, i, reduced)});
      if (!reindex) continue;
      for (Expr e : open.back().tuple) append_element_demands(e, open);
    }
  };
  read_operands(value, tuple);
  while (!open.empty()) {
    const Demand demand = std::move(open.back());
    open.pop_back();
    if (roles.role[demand.value] == Role::view) {
      read_operands(demand.value, demand.tuple);
    } else {
      result.push_back(demand);
    }
  }
  return result;
}

Cluster::Cluster(const Graph& graph, const Roles& roles, const Partition& partition, Value anchor)
    : graph_(graph),
      roles_(roles),
      partition_(partition),
      above_(partition, roles.real_operands, true),
      below_(partition, roles.real_users, false) {
  const Node& node = graph.node(anchor);
  if (kind_of(node.op) == OpKind::whole) {
    kind_ = own_nest(node.op);
  } else {
    kind_ = roles.contractions[anchor] ? NestKind::contraction : NestKind::loops;
  }
  Entry entry;
  // Axes of one element take no part, except where they are reduced or part what is reduced.
  auto new_axis = [&](Expr extent, bool reduced) -> Expr {
    const bool parts = !entry.reduced.empty();
    if (extent.is_constant(1) && !reduced && !parts && kind_ == NestKind::loops) return 0;
    const auto axis = static_cast<uint32_t>(extents_.size());
    extents_.push_back(extent);
    ranges_.set(axis, extent);
    if (reduced) entry.reduced.push_back(axis);
    return Expr::variable(axis);
  };
  if (kind_ == NestKind::loops && node.op == MetaOp::reduce) {
    const Shape& shape = graph.type(node.operands[0]).shape;
    const std::vector<int64_t>& axes = node.attributes.axes;
    for (int64_t k = 0; k < static_cast<int64_t>(shape.size()); ++k) {
      const bool reduced = std::find(axes.begin(), axes.end(), k) != axes.end();
      const Expr index = new_axis(shape[k], reduced);
      if (!reduced) entry.tuple.push_back(shape[k].is_constant(1) ? Expr() : index);
    }
  } else {
    for (Expr extent : node.type.shape) {
      const Expr index = new_axis(extent, false);
      // An index in [0, 0) would simplify to 0, and the empty axis be lost.
      entry.tuple.push_back(extent.is_constant(0) ? index : simplified(index));
    }
  }
  add(anchor, std::move(entry));
}

void Cluster::grow() {
  if (kind_ != NestKind::loops && kind_ != NestKind::contraction) return;
  // A neighbour refused once may fit when more of its operands are members, so it is tried again
  // whenever one of them joins.
  while (!open_.empty() && order_.size() < kMostMembers) {
    const Value v = open_.back();
    open_.pop_back();
    if (!contains(v)) try_add(v);
  }
  if (kind_ == NestKind::contraction) leave_to_users();
}

// An epilogue that is worth its place replaces a store, or computes what must be stored anyway.
// Behind a value that is stored in any case, the rest is better computed by its readers.
void Cluster::leave_to_users() {
  std::vector<Value> sorted = order_;
  std::sort(sorted.begin(), sorted.end());
  std::set<Value> kept = {order_.front()};
  for (Value v : sorted) {
    if (!kept.contains(v)) {
      if (!must_store(graph_, roles_, v)) continue;
      kept.insert(v);
    }
    const std::vector<Value>& users = roles_.real_users[v];
    const bool all_here =
        std::all_of(users.begin(), users.end(), [&](Value user) { return contains(user); });
    if (all_here && !must_store(graph_, roles_, v)) kept.insert(users.begin(), users.end());
  }
  for (size_t i = sorted.size(); i-- > 0;) {
    if (!kept.contains(sorted[i])) continue;
    for (Value operand : roles_.real_operands[sorted[i]]) {
      if (contains(operand)) kept.insert(operand);
    }
  }
  std::erase_if(order_, [&](Value v) { return !kept.contains(v); });
  std::erase_if(entries_, [&](const auto& entry) { return !kept.contains(entry.first); });
}

bool Cluster::try_add(Value v) {
  if (roles_.role[v] != Role::computed || partition_.home(v) >= 0) return false;
  const Node& node = graph_.node(v);
  const bool reduction = node.op == MetaOp::reduce && !roles_.contractions[v];
  const bool gather = node.op == MetaOp::reindex && is_data_indexed(node);
  const bool acceptable = kind_ == NestKind::contraction
                              ? is_elementwise(node.op)
                              : is_elementwise(node.op) || reduction || gather ||
                                    node.op == MetaOp::broadcast || node.op == MetaOp::reindex;
  if (!acceptable) return false;
  auto refuse = [&](const char* why) {
    PLAIT_LOG(debug, "%{} does not join the nest of %{}: {}", v, order_.front(), why);
    return false;
  };
  if (!keeps_order(v)) return refuse("something outside lies between");
  const size_t axes = extents_.size();
  std::optional<Entry> entry = place(v);
  if (!entry || !fits(v, *entry)) {
    extents_.resize(axes);
    return refuse("it has no tuple over the nest's axes at which all it reads is available");
  }
  if (!structure_holds(v, *entry)) {
    extents_.resize(axes);
    return refuse("its reductions do not go with the others'");
  }
  add(v, std::move(*entry));
  return true;
}

// Adding v must not make a cycle of clusters: nothing outside may lie between it and a member.
bool Cluster::keeps_order(Value v) {
  const auto inside = [&](Value value) { return contains(value); };
  // What is far needs no walk where the answer is sure.
  for (Value member : order_) {
    for (Value operand : roles_.real_operands[v]) {
      if (partition_.surely_needs(operand, member) && !contains(operand)) return false;
    }
    for (Value user : roles_.real_users[v]) {
      if (partition_.surely_needs(member, user) && !contains(user)) return false;
    }
  }
  for (Value operand : roles_.real_operands[v]) {
    if (!contains(operand) && below_.reaches(operand, inside)) return false;
  }
  for (Value user : roles_.real_users[v]) {
    if (!contains(user) && above_.reaches(user, inside)) return false;
  }
  return true;
}

// The tuple at which some member reads v, if one does.
std::optional<Tuple> Cluster::demanded_by_member(Value v) const {
  for (Value user : roles_.real_users[v]) {
    const auto it = entries_.find(user);
    if (it == entries_.end() || roles_.contractions[user]) continue;
    std::vector<Expr> reduced;
    for (uint32_t axis : it->second.reduced) reduced.push_back(Expr::variable(axis));
    for (const Demand& demand : demands_of(graph_, roles_, user, it->second.tuple, reduced)) {
      if (demand.value != v) continue;
      Tuple tuple;
      for (Expr e : demand.tuple) tuple.push_back(simplified(e));
      return tuple;
    }
  }
  return std::nullopt;
}

// The entry that v would have, or nothing if it does not share the group axes. May append axes.
std::optional<Cluster::Entry> Cluster::place(Value v) {
  const Node& node = graph_.node(v);
  const bool reduction = node.op == MetaOp::reduce;
  const auto rank = static_cast<uint32_t>(node.type.rank());
  std::vector<Expr> unknown_extents(node.type.shape.begin(), node.type.shape.end());
  Tuple unknown, reduced;
  for (uint32_t k = 0; k < rank; ++k) unknown.push_back(Expr::variable(kUnknown + k));
  if (reduction) {
    for (int64_t axis : node.attributes.axes) {
      reduced.push_back(Expr::variable(static_cast<uint32_t>(kUnknown + unknown_extents.size())));
      unknown_extents.push_back(graph_.type(node.operands[0]).shape[axis]);
    }
  }
  const std::vector<Demand> demands = demands_of(graph_, roles_, v, unknown, reduced);

  std::vector<Equation> equations;
  if (const auto tuple = demanded_by_member(v)) {
    for (uint32_t k = 0; k < rank; ++k) equations.push_back({unknown[k], (*tuple)[k]});
  }
  auto equate = [&](const Tuple& demanded, const Tuple& known) {
    for (size_t k = 0; k < demanded.size(); ++k) equations.push_back({demanded[k], known[k]});
  };
  for (const Demand& demand : demands) {
    const auto it = entries_.find(demand.value);
    if (it != entries_.end()) equate(demand.tuple, it->second.tuple);
  }
  // What it shares with members from outside is read once if it is read at the same place.
  for (const Demand& demand : demands) {
    const auto it = shared_.find(demand.value);
    if (it != shared_.end()) equate(demand.tuple, it->second);
  }
  std::vector<std::optional<Expr>> solution = solve(equations, kUnknown, unknown_extents, ranges_);

  // Axes that nothing determines (a broadcast's new ones): unused group axes of that extent, in
  // order, else new group axes.
  std::set<uint32_t> used;
  for (const auto& e : solution) {
    if (!e) continue;
    for (uint32_t id : variables_of(*e)) used.insert(id);
  }
  for (size_t k = 0; k < solution.size(); ++k) {
    if (solution[k]) continue;
    if (unknown_extents[k].is_constant(1)) {
      solution[k] = 0;
      continue;
    }
    uint32_t axis = 0;
    while (axis < extents_.size() &&
           (used.contains(axis) || !(extents_[axis] == unknown_extents[k]))) {
      ++axis;
    }
    if (axis == extents_.size()) {
      if (kind_ == NestKind::contraction) return std::nullopt;
      extents_.push_back(unknown_extents[k]);
      ranges_.set(axis, unknown_extents[k]);
    }
    used.insert(axis);
    solution[k] = Expr::variable(axis);
  }

  Entry entry;
  Substitution substitution;
  std::set<uint32_t> taken;
  for (size_t k = 0; k < solution.size(); ++k) {
    const Expr e = simplified(*solution[k]);
    if (contains_element(e)) return std::nullopt;
    substitution.emplace(static_cast<uint32_t>(kUnknown + k), e);
    if (k < rank) {
      entry.tuple.push_back(e);
      for (uint32_t id : variables_of(e)) taken.insert(id);
      continue;
    }
    // A reduced axis is a group axis of its own, all of it.
    const bool whole = e.kind() == ExprKind::variable && extents_[e.id()] == unknown_extents[k];
    if (!whole || !taken.insert(e.id()).second) return std::nullopt;
    entry.reduced.push_back(e.id());
  }
  for (const Demand& demand : demands) {
    Tuple tuple;
    for (Expr e : demand.tuple) tuple.push_back(simplified(substitute(e, substitution)));
    if (!can_compute_at(demand.value, tuple, 16)) return std::nullopt;
  }
  // Every member that reads v must read it at this tuple.
  for (Value user : roles_.real_users[v]) {
    const auto it = entries_.find(user);
    if (it == entries_.end()) continue;
    if (roles_.contractions[user]) return std::nullopt;
    std::vector<Expr> at;
    for (uint32_t axis : it->second.reduced) at.push_back(Expr::variable(axis));
    for (const Demand& demand : demands_of(graph_, roles_, user, it->second.tuple, at)) {
      if (demand.value != v) continue;
      for (uint32_t k = 0; k < rank; ++k) {
        if (!(simplified(demand.tuple[k]) == entry.tuple[k])) return std::nullopt;
      }
    }
  }
  return entry;
}

// Whether v is available at `tuple`: from memory, as a member there, or computed again there.
bool Cluster::can_compute_at(Value v, const Tuple& tuple, int budget) const {
  if (roles_.role[v] == Role::view) {
    PLAIT_UNREACHABLE("views are looked through");
  }
  const auto it = entries_.find(v);
  if (it == entries_.end() || it->second.tuple == tuple) return true;
  if (!is_elementwise(graph_.node(v).op) || budget == 0) return false;
  for (const Demand& demand : demands_of(graph_, roles_, v, tuple, {})) {
    Tuple at;
    for (Expr e : demand.tuple) at.push_back(simplified(e));
    if (!can_compute_at(demand.value, at, budget - 1)) return false;
  }
  return true;
}

// Whether different points of these axes certainly have different tuples: the axes are functions of
// the tuple.
bool Cluster::is_one_to_one(const Tuple& tuple, const Shape& shape,
                            const std::set<uint32_t>& axes) const {
  const bool plain = std::all_of(tuple.begin(), tuple.end(), [](Expr e) {
    return e.kind() == ExprKind::variable || e.constant().has_value();
  });
  if (plain) return true;  // as many points as elements: no axis appears twice
  Substitution to_unknown, to_tuple;
  std::vector<Expr> extents, order;
  for (uint32_t axis : axes) {
    to_unknown.emplace(axis, Expr::variable(static_cast<uint32_t>(kUnknown + order.size())));
    order.push_back(Expr::variable(axis));
    extents.push_back(extents_[axis]);
  }
  const auto known = static_cast<uint32_t>(kUnknown + order.size());
  Ranges ranges = ranges_;
  std::vector<Equation> equations;
  for (uint32_t k = 0; k < tuple.size(); ++k) {
    ranges.set(known + k, shape[k]);
    to_tuple.emplace(known + k, tuple[k]);
    equations.push_back({substitute(tuple[k], to_unknown), Expr::variable(known + k)});
  }
  for (size_t i = 0; i < order.size(); ++i) {
    ranges.set(static_cast<uint32_t>(kUnknown + i), extents[i]);
  }
  const auto solution = solve(equations, kUnknown, extents, ranges);
  for (size_t i = 0; i < order.size(); ++i) {
    if (extents[i].is_constant(1)) continue;
    if (!solution[i] || !(simplified(substitute(*solution[i], to_tuple)) == order[i])) return false;
  }
  return true;
}

// The tuple runs through every element exactly once; a contraction's epilogue, as its result does.
bool Cluster::fits(Value v, const Entry& entry) const {
  std::set<uint32_t> axes;
  for (Expr e : entry.tuple) {
    for (uint32_t id : variables_of(e)) axes.insert(id);
  }
  if (kind_ == NestKind::contraction && axes.size() != extents_.size()) {
    // Axes of one element appear in no tuple.
    for (uint32_t axis = 0; axis < extents_.size(); ++axis) {
      if (!axes.contains(axis) && !extents_[axis].is_constant(1)) return false;
    }
  }
  // A shifted tuple (from a guarded view of what is shared) would leave the value.
  const Shape& shape = graph_.type(v).shape;
  for (size_t k = 0; k < shape.size(); ++k) {
    const Interval interval = bounds(entry.tuple[k], ranges_);
    if (!interval.lo || *interval.lo < 0) return false;
    if (prove_less(entry.tuple[k], shape[k], ranges_) != true) return false;
  }
  Expr count = 1;
  for (uint32_t axis : axes) count = count * extents_[axis];
  if (!(simplified(count) == simplified(element_count(graph_.type(v).shape)))) return false;
  if (!is_one_to_one(entry.tuple, shape, axes)) return false;
  std::set<uint32_t> reduced(entry.reduced.begin(), entry.reduced.end());
  if (reduced.size() != entry.reduced.size()) return false;
  return std::none_of(reduced.begin(), reduced.end(),
                      [&](uint32_t axis) { return axes.contains(axis); });
}

bool Cluster::structure_holds(Value candidate, const Entry& entry) const {
  if (kind_ == NestKind::contraction) return true;
  std::vector<Member> members;
  for (Value v : order_) members.push_back({v, entries_.at(v).tuple, entries_.at(v).reduced});
  members.push_back({candidate, entry.tuple, entry.reduced});
  return divide_axes(graph_, roles_, members, extents_).has_value();
}

// Values that read what v reads over all axes, for one pass over it.
void Cluster::add_siblings(Value v, const Entry& entry) {
  std::vector<Expr> reduced;
  for (uint32_t axis : entry.reduced) reduced.push_back(Expr::variable(axis));
  for (const Demand& demand : demands_of(graph_, roles_, v, entry.tuple, reduced)) {
    if (contains(demand.value) || shared_.contains(demand.value)) continue;
    Tuple tuple;
    std::set<uint32_t> axes;
    for (Expr e : demand.tuple) {
      tuple.push_back(simplified(e));
      for (uint32_t id : variables_of(tuple.back())) axes.insert(id);
    }
    if (axes.size() != axes_of_many(extents_) || axes.empty()) continue;
    shared_.emplace(demand.value, std::move(tuple));
    for (Value sibling : roles_.real_users[demand.value]) open_.push_back(sibling);
  }
}

void Cluster::add(Value v, Entry entry) {
  if (kind_ == NestKind::loops) add_siblings(v, entry);
  entries_.emplace(v, std::move(entry));
  order_.push_back(v);
  above_.start_at(v);
  below_.start_at(v);
  for (Value user : roles_.real_users[v]) open_.push_back(user);
  // The factors of a contraction are packed, not computed beside it.
  if (roles_.contractions[v]) return;
  for (Value operand : roles_.real_operands[v]) open_.push_back(operand);
}

Nest Cluster::nest() const {
  Nest nest;
  nest.kind = kind_;
  nest.extents = extents_;
  std::vector<Value> sorted = order_;
  std::sort(sorted.begin(), sorted.end());
  for (Value v : sorted) nest.members.push_back({v, entries_.at(v).tuple, entries_.at(v).reduced});
  if (kind_ == NestKind::contraction) nest.contraction = roles_.contractions[order_.front()];
  return nest;
}

}  // namespace plait::fusion
