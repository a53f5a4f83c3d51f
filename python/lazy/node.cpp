#include "python/lazy/node.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/error.h"
#include "python/lazy/call.h"
#include "python/lazy/capture.h"
#include "python/lazy/evaluate.h"

namespace plait::lazy {
namespace {

LiveCounts counts;
uint64_t next_id = 0;

struct Line {
  std::shared_ptr<const std::string> file;
  int line = 0;
};
thread_local Line current_line;

}  // namespace

LiveCounts live_counts() { return counts; }

namespace {

std::set<const Node*>& pending() {
  static auto& nodes = *new std::set<const Node*>;
  return nodes;
}

}  // namespace

const std::set<const Node*>& pending_gradients() { return pending(); }

void set_pending(const Node& gradient, bool on) {
  if (on) {
    pending().insert(&gradient);
  } else {
    pending().erase(&gradient);
  }
}

Hash hash_bytes(const std::string& bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

void set_line(std::shared_ptr<const std::string> file, int line) {
  current_line = {std::move(file), line};
}

Node::Node(Kind kind)
    : kind(kind),
      id(++next_id),
      scope(Scope::path()),
      file(current_line.file),
      line(current_line.line) {
  ++counts.nodes;
}

// A chain of nodes that only hold each other is taken apart here, not by nested destructors.
Node::~Node() {
  --counts.nodes;
  if (kind == Kind::gradient) set_pending(*this, false);
  std::vector<Ref> pending = std::move(operands);
  while (!pending.empty()) {
    const Ref last = std::move(pending.back());
    pending.pop_back();
    if (last.node.use_count() != 1) continue;
    for (Ref& operand : last.node->operands) pending.push_back(std::move(operand));
    last.node->operands.clear();
  }
}

void Node::set_types(std::vector<Type> types_of_results) {
  types = std::move(types_of_results);
  arrays.resize(types.size());
  holders.resize(types.size());
}

Ref array_node(Array array) {
  auto node = std::make_shared<Node>(Kind::array);
  node->set_types({array.type()});
  node->arrays[0] = std::move(array);
  return {std::move(node), 0};
}

Ref placeholder_node(std::string name, Type type) {
  auto node = std::make_shared<Node>(Kind::placeholder);
  node->set_types({std::move(type)});
  node->name = std::move(name);
  return {std::move(node), 0};
}

bool& grad_enabled() {
  thread_local bool on = true;
  return on;
}

Cell::Cell(Ref value) : trace(Capture::current_id()), value_(std::move(value)) {
  ++counts.cells;
  ++value_.node->holders[value_.index];
}

Cell::Cell(std::shared_ptr<Slot> slot) : trace(0), slot_(std::move(slot)) { ++counts.cells; }

Cell::~Cell() {
  --counts.cells;
  if (value_) --value_.node->holders[value_.index];
}

Ref Cell::own_value() {
  if (!slot_) return value_;
  NodePtr node = of_slot_.lock();
  const bool known = node && node->slot_version == slot_->version() && node->computed(0);
  if (!known) {
    node = std::make_shared<Node>(Kind::slot);
    node->set_types({slot_->type()});
    node->arrays[0] = slot_->value();
    node->slot = slot_;
    node->slot_version = slot_->version();
    of_slot_ = node;
  }
  node->requires_grad = slot_requires_grad_;
  if (slot_requires_grad_) node->leaf = weak_from_this();
  return {std::move(node), 0};
}

Ref Cell::value() {
  Capture* capture = Capture::current();
  if (!capture || trace == capture->id()) return own_value();
  return capture->read(shared_from_this(), own_value());
}

void Cell::set_value(Ref value) {
  Capture* capture = Capture::current();
  // What gradients are asked of stays so, whatever is written to it under no_grad.
  const bool stays_leaf = is_leaf() && requires_grad() && !value.node->requires_grad;
  if (stays_leaf && capture) {
    value = call_op("detach", {OperandIndex{0}}, {value});
    value.node->requires_grad = true;
  }
  if (capture && trace != capture->id()) {
    capture->write(shared_from_this(), own_value(), std::move(value));
    return;
  }
  PLAIT_INTERNAL_CHECK(!slot_, "a slot's value is set by Slot::set");
  if (stays_leaf && !capture) {
    value = array_node(array_of(value));
    value.node->requires_grad = true;
    value.node->leaf = weak_from_this();
  }
  ++value.node->holders[value.index];
  --value_.node->holders[value_.index];
  value_ = std::move(value);
}

Type Cell::type() { return slot_ ? slot_->type() : value_.type(); }

bool Cell::is_leaf() const {
  if (slot_ || !value_.node->requires_grad) return true;
  return value_.node->operands.empty() && !value_.node->cut && !value_.node->is_result;
}

void Cell::set_requires_grad(bool on) {
  if (slot_) {
    slot_requires_grad_ = on;
    return;
  }
  value_.node->requires_grad = on;
  if (on) value_.node->leaf = weak_from_this();
}

bool Cell::requires_grad() { return slot_ ? slot_requires_grad_ : value_.node->requires_grad; }

}  // namespace plait::lazy
