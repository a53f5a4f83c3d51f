// The graph of meta-operators: immutable, hash-consed, typed SSA in an arena.
//
// Node ids are in topological order (operands come before users), so every pass is a sweep and
// nothing recurses. A graph only grows; passes build new ones. Scopes and source lines are a side
// table outside identity: merged nodes keep several.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/shape.h"

namespace plait {

enum class MetaOp : uint8_t {
#define PLAIT_META_OP(name, kind, ...) name,
#include "core/graph/meta_ops.def"
};
enum class UnaryOp : uint8_t {
#define PLAIT_UNARY(name) name,
#include "core/graph/scalar_ops.def"
};
enum class BinaryOp : uint8_t {
#define PLAIT_BINARY(name) name,
#include "core/graph/scalar_ops.def"
};
// The combination rule of reduce, scan and scatter.
enum class ReduceOp : uint8_t {
#define PLAIT_REDUCE(name) name,
#include "core/graph/scalar_ops.def"
};
const char* name_of(MetaOp op);
const char* name_of(UnaryOp op);
const char* name_of(BinaryOp op);
const char* name_of(ReduceOp op);
// How an element of the result comes from the operands.
enum class OpKind : uint8_t {
  source,       // it lies in memory before the run
  generated,    // from its index and scalars alone
  elementwise,  // from the operands' elements at its index
  movement,     // it is one element of the first operand, or a filling
  reduction,    // from all elements along axes that disappear
  join,         // it is one element of one of the operands
  whole,        // with the others: in loops of the op's own
  state,        // of the operand's element; no result, but a slot's new value
};
OpKind kind_of(MetaOp op);
inline bool is_elementwise(MetaOp op) { return kind_of(op) == OpKind::elementwise; }
bool is_commutative(BinaryOp op);  // but for the payload of NaNs

// A node's one result. (Nodes with several results are not needed by any meta-op so far.)
using Value = uint32_t;
inline constexpr Value kNoValue = ~Value{0};

// Which attributes a meta-op has, and how they are written in text.
enum class AttributeField : uint8_t {
  name,
  slot,
  data,
  size,
  salt,
  axis,  // axes[0]
  axes,
  map,
  fill,
  out_of_range,
  unary_function,
  binary_function,
  reduce_function,
  reduce_function_or_replace,
  reverse,
  descending,  // the same attribute by another word
};
std::span<const AttributeField> attribute_fields(MetaOp op);
bool has_attribute(MetaOp op, std::initializer_list<AttributeField> any_of);

class Slot;  // core/slot.h

// What an out-of-range index of a reindex or scatter means.
enum class OutOfRange : uint8_t {
  fill,   // reindex gives `fill`; scatter drops the update
  error,  // the run fails, naming op, axis, position and value; no slot is written
};

// The attributes of a node; which are used depends on the op, the others keep their defaults:
//   input      name              parameter  slot          constant  data (row-major elements)
//   iota       axes[0]           size       size          random    salt
//   unary, binary                function (UnaryOp, BinaryOp)
//   broadcast  axes: for each operand axis the result axis it becomes (an operand axis of extent 1
//              stretches); result axes not named are new
//   reduce     function (ReduceOp), axes (sorted; they disappear)
//   reindex    map: per axis of operand 0 its index as an expression over result axes
//              (variable k = result axis k) and elements of the integer operands 1…
//              (element t reads operand 1 + t); out_of_range, fill
//   scatter    function (sum, prod, max, min); replace = true: the last update in row-major order
//              wins. Operands: destination, updates, integer tensors; map: per destination axis,
//              over the update's axes; out_of_range
//   concat     axes[0]           scan       function (sum, prod, max, min, internally logsumexp is
//              a composite), axes[0], reverse
//   sort       axes[0], reverse (descending); gives the stable permutation as i64; NaN last
//   assign     slot              cast       dtype (in the result type)
struct Attributes {
  uint8_t function = 0;
  bool reverse = false;
  bool replace = false;
  OutOfRange out_of_range = OutOfRange::fill;
  std::vector<int64_t> axes;
  std::vector<Expr> map;
  Scalar fill;
  Expr size;
  uint64_t salt = 0;
  std::string name;
  std::shared_ptr<Slot> slot;
  std::shared_ptr<const std::vector<std::byte>> data;

  friend bool operator==(const Attributes& a, const Attributes& b);  // data by content
};

struct Node {
  MetaOp op;
  Attributes attributes;
  std::vector<Value> operands;
  Type type;

  UnaryOp unary() const { return static_cast<UnaryOp>(attributes.function); }
  BinaryOp binary() const { return static_cast<BinaryOp>(attributes.function); }
  ReduceOp reduce() const { return static_cast<ReduceOp>(attributes.function); }
};

// Where a node came from.
struct Origin {
  std::string scope;  // "gpt/h.3/attn/softmax"
  std::string file;   // of the user's line, empty if unknown
  int line = 0;
  friend bool operator==(const Origin&, const Origin&) = default;
};

struct Output {
  std::string name;
  Value value;
};

// An equality of sizes that the compiler could not decide; the program checks it at every run.
struct SizeGuard {
  Expr a, b;
  std::string message;  // the whole error text but for the two numbers
  friend bool operator==(const SizeGuard&, const SizeGuard&) = default;
};

class Graph {
 public:
  // Adds a node, or returns the equal one that is there. Infers the type (infer.h): UserError when
  // a rule is broken, prefixed by the current op name (OpName, below). `result` is needed by ops
  // whose type does not follow from operands: input, constant, iota, random, broadcast, reindex,
  // cast, parameter; it is checked where both are known.
  Value add(MetaOp op, std::vector<Value> operands, Attributes attributes, Type result = {});

  const Node& node(Value v) const { return nodes_[v]; }
  const Type& type(Value v) const { return nodes_[v].type; }
  size_t size() const { return nodes_.size(); }

  // Roots: named results and assigns, in order.
  void add_output(std::string name, Value v) { outputs_.push_back({std::move(name), v}); }
  const std::vector<Output>& outputs() const { return outputs_; }
  std::vector<Value> assigns() const;  // in order of creation
  std::vector<Value> roots() const;    // outputs, then assigns

  const std::vector<SizeGuard>& guards() const { return guards_; }
  void add_guard(SizeGuard guard);

  std::span<const Origin> origins(Value v) const;
  void add_origin(Value v, Origin origin);

  std::string debug_string() const;  // to_text (text.h)

 private:
  size_t place_in_table(size_t hash, MetaOp op, const std::vector<Value>& operands,
                        const Attributes& attributes, const Type& type) const;
  void grow_table();

  std::deque<Node> nodes_;  // references to nodes, types and shapes outlive later add()s
  // By hash, open addressed: at most half full, never shrinking.
  std::vector<Value> table_;
  std::vector<size_t> hashes_;  // by node
  std::vector<Output> outputs_;
  std::vector<SizeGuard> guards_;
  std::vector<std::vector<Origin>> origins_;
};

// The scope path of nodes added by this thread, and the op name for error messages.
// `OpName` is held by each composite: errors below it name the outermost one.
class Scope {
 public:
  explicit Scope(std::string_view name);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  static std::string path();

 private:
  size_t length_;
};
class OpName {
 public:
  explicit OpName(std::string_view name);
  ~OpName();
  OpName(const OpName&) = delete;
  OpName& operator=(const OpName&) = delete;
  static std::string_view current();  // empty outside any op

 private:
  bool outermost_;
};
// The user's source line for nodes added by this thread, until changed (Python sets it per call).
void set_source_line(std::string file, int line);

// For each node, whether a root needs it: what it computes or, of an input, only a size. An input
// that nothing reads is needed if its axes tell the value of a symbol that the sizes and maps of
// others have, and no other needed input does.
std::vector<bool> live_nodes(const Graph& graph);
// The symbols of live nodes whose values no sizes of inputs tell, by name.
std::vector<Expr> untold_symbols(const Graph& graph);
// Number of uses of each node's result by live nodes and roots.
std::vector<uint32_t> use_counts(const Graph& graph);
// Of all that makes two nodes equal.
size_t hash_of(const Node& node);

// A copy with each live node passed through `rewrite(new graph, node, mapped operands)`, which
// returns the replacement in the new graph, or kNoValue to copy the node as it is. Outputs, assigns
// and origins follow.
using NodeRewrite = std::function<Value(Graph&, const Node&, std::span<const Value>)>;
Graph rewrite_graph(const Graph& graph, const NodeRewrite& rewrite);

}  // namespace plait
