// The fusion plan: which values are computed in one launch, over which axes, and which of them are
// written to memory. Graph -> FusionPlan (here) -> kernel IR (jit/lower).
//
// A *nest* computes a set of graph values over common *group axes*. Every member has a tuple: its
// index expressions over the group axes (variable k is axis k). A value that a member needs and
// that is neither a member at the demanded tuple nor in memory is recomputed where it is needed,
// from values that are. A *group* is one launch: nests in order, a barrier after each.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/graph/graph.h"
#include "core/reduction_order.h"

namespace plait::fusion {

struct Member {
  Value value;
  std::vector<Expr> tuple;        // of the value's own axes
  std::vector<uint32_t> reduced;  // reduce: the group axis of each reduced axis

  friend bool operator==(const Member&, const Member&) = default;
};

enum class NestKind : uint8_t {
  loops,        // elementwise values and reductions
  contraction,  // one contraction and the elementwise values behind it
  scatter,      // one scatter
  scan,         // one scan
  sort,         // one sort
};

// A sum of products over k, where one factor knows m and not n, the other n and not m.
struct Contraction {
  Value reduce;
  Value left, right;             // the factors
  std::vector<Expr> left_tuple;  // over group axes and, above them, one variable per k axis
  std::vector<Expr> right_tuple;
  std::vector<uint32_t> batch, m, n;  // group axes
  std::vector<uint32_t> k;            // variables, in row-major order of the reduced axes
  std::vector<Expr> k_extents;
  ContractionOrder order = ContractionOrder::chain;

  friend bool operator==(const Contraction&, const Contraction&) = default;
};

struct Nest {
  NestKind kind = NestKind::loops;
  std::vector<Expr> extents;    // of the group axes
  std::vector<Member> members;  // in graph order
  std::vector<Value> stores;    // the members written to memory
  std::vector<uint32_t> inner;  // loops: axes reduced by reductions that are complete per row
  std::optional<Contraction> contraction;

  friend bool operator==(const Nest&, const Nest&) = default;
};

struct Group {
  std::vector<Nest> nests;

  friend bool operator==(const Group&, const Group&) = default;
};

struct FusionPlan {
  std::vector<Group> groups;     // in an order that respects their dependences
  std::vector<bool> in_memory;   // per value: sources with storage, and all stores
  std::vector<std::string> log;  // why boundaries stand, one line each
};

// `fuse` = false puts every value in a group of its own (contractions keep their product): the
// reference that options.check compares with.
FusionPlan plan_fusion(const Graph& graph, bool fuse = true);

std::string to_text(const Graph& graph, const FusionPlan& plan);

}  // namespace plait::fusion
