// What Python's tensors are made of: a graph of calls that runs when somebody looks at a result.
//
// A node is one call of a composite op (or memory, or a gradient, or a write through a view). Nodes
// are counted by their owners, so what nobody can reach is gone; a result that has been computed is
// kept with its node, which then forgets where it came from, unless gradients may pass through it.
// Running a set of nodes turns them into a graph of meta-operators (emit.h) and a program, which is
// kept by structure (evaluate.h).
//
// Everything here is used by one thread at a time: the holder of Python's lock.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "core/slot.h"
#include "ops/op_record.h"

namespace plait::lazy {

struct Node;
using NodePtr = std::shared_ptr<Node>;

// One result of a node.
struct Ref {
  NodePtr node;
  uint32_t index = 0;

  explicit operator bool() const { return node != nullptr; }
  const Type& type() const;
  friend bool operator==(const Ref&, const Ref&) = default;
};

// An operand of a call, by its number.
struct OperandIndex {
  uint32_t value;
};

// An argument of a call: that of op_record.h, where tensors are operands of the node.
using CallArgument =
    std::variant<std::monostate, OperandIndex, std::vector<OperandIndex>, int64_t, double, bool,
                 std::string, DType, std::vector<int64_t>, Expr, Shape>;

// 128 bits that stand for a text.
struct Hash {
  uint64_t low = 0, high = 0;
  friend bool operator==(const Hash&, const Hash&) = default;
  friend auto operator<=>(const Hash&, const Hash&) = default;
};
Hash hash_bytes(const std::string& bytes);

// What is known of a call before it runs: a function of op, arguments and operand types, shared by
// all equal calls.
struct Call {
  const OpRecord* record;
  std::vector<CallArgument> arguments;
  std::vector<Type> operand_types;
  std::vector<Type> results;
  // Of calls that draw random numbers: their composition on inputs "0", "1", …, and its results.
  std::shared_ptr<const Graph> drawing;
  std::vector<Value> drawn;
  std::vector<size_t> numbers;  // the arguments that are floating numbers beside tensors
  Hash structure;               // of all of the above but the values of `numbers`
};

enum class Kind : uint8_t {
  array,        // memory that holds the value
  slot,         // the value that a slot had
  placeholder,  // an input of the function that is being captured
  call,
  gradient,  // operands: loss, its cotangent if has_seed, then what to differentiate by
  write,     // operand 0 with operand 1 written to where `map` says (scatter, the last wins)
};

struct Node {
  explicit Node(Kind kind);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  bool computed(uint32_t index) const { return arrays[index].buffer != nullptr; }
  void set_types(std::vector<Type> types_of_results);

  const Kind kind;
  const uint64_t id;  // rises with time; operands have smaller ones
  bool requires_grad = false;
  bool is_result = false;  // of a placeholder: it stands for the result of a call
  bool has_seed = false;
  bool history_freed = false;  // by backward(): how it was computed is forgotten once it is known
  const char* cut = nullptr;   // why gradients that should pass through the node can not
  std::vector<Ref> operands;
  std::vector<Type> types;    // by result
  std::vector<Array> arrays;  // by result: the value, once it is known
  std::vector<int> holders;   // by result: cells whose value it is
  uint32_t depth = 0;         // calls between this one and computed values
  std::shared_ptr<const Call> call;
  std::shared_ptr<Slot> slot;
  uint64_t slot_version = 0;
  std::string name;       // of a placeholder
  std::vector<Expr> map;  // of a write
  Array key;              // of a call that draws: seed and step; empty in captured functions
  std::weak_ptr<struct Cell> leaf;  // whose `grad` backward() fills
  // For errors and dumps.
  std::string scope;
  std::shared_ptr<const std::string> file;
  int line = 0;
};

inline const Type& Ref::type() const { return node->types[index]; }

// The gradients that are not known yet: they need how their losses were computed.
const std::set<const Node*>& pending_gradients();
void set_pending(const Node& gradient, bool pending);

// How many there are, for leak tests.
struct LiveCounts {
  int64_t nodes = 0, cells = 0;
};
LiveCounts live_counts();

// Memory that tensors share: a value that in-place ops replace. Views are maps onto a cell.
struct Cell : std::enable_shared_from_this<Cell> {
  explicit Cell(Ref value);
  explicit Cell(std::shared_ptr<Slot> slot);
  ~Cell();
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell&) = delete;

  // The present value; inside a captured function the value it has there (capture.h).
  Ref value();
  void set_value(Ref value);
  Type type();
  bool is_leaf() const;  // memory, not the result of a call

  const std::shared_ptr<Slot>& slot() const { return slot_; }
  const std::shared_ptr<Cell>& grad() const { return grad_; }
  void set_grad(std::shared_ptr<Cell> grad) { grad_ = std::move(grad); }
  void set_requires_grad(bool on);
  bool requires_grad();

  const uint64_t trace;  // the captured function that made it; 0 outside

 private:
  Ref own_value();

  std::shared_ptr<Slot> slot_;
  Ref value_;                    // without a slot
  std::weak_ptr<Node> of_slot_;  // of the slot's present value
  bool slot_requires_grad_ = false;
  std::shared_ptr<Cell> grad_;
};

// Whether new calls may have gradients (no_grad).
bool& grad_enabled();

Ref array_node(Array array);
Ref placeholder_node(std::string name, Type type);
// What errors and dumps name nodes by; Python sets it for each call.
void set_line(std::shared_ptr<const std::string> file, int line);

}  // namespace plait::lazy
