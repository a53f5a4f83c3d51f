#include "core/graph/graph.h"

#include <algorithm>

#include "core/error.h"
#include "core/graph/text.h"
#include "core/interrupt.h"
#include "core/rules/infer.h"
#include "core/slot.h"

namespace plait {

const char* name_of(MetaOp op) {
  static constexpr const char* kNames[] = {
#define PLAIT_META_OP(name, kind, ...) #name,
#include "core/graph/meta_ops.def"
  };
  return kNames[static_cast<size_t>(op)];
}

OpKind kind_of(MetaOp op) {
  static constexpr OpKind kKinds[] = {
#define PLAIT_META_OP(name, kind, ...) OpKind::kind,
#include "core/graph/meta_ops.def"
  };
  return kKinds[static_cast<size_t>(op)];
}

const char* name_of(UnaryOp op) {
  static constexpr const char* kNames[] = {
#define PLAIT_UNARY(name) #name,
#include "core/graph/scalar_ops.def"
  };
  return kNames[static_cast<size_t>(op)];
}

const char* name_of(BinaryOp op) {
  static constexpr const char* kNames[] = {
#define PLAIT_BINARY(name) #name,
#include "core/graph/scalar_ops.def"
  };
  return kNames[static_cast<size_t>(op)];
}

const char* name_of(ReduceOp op) {
  static constexpr const char* kNames[] = {
#define PLAIT_REDUCE(name) #name,
#include "core/graph/scalar_ops.def"
  };
  return kNames[static_cast<size_t>(op)];
}

bool is_commutative(BinaryOp op) {
  switch (op) {
    case BinaryOp::add:
    case BinaryOp::mul:
    case BinaryOp::maximum:
    case BinaryOp::minimum:
    case BinaryOp::eq:
    case BinaryOp::ne:
    case BinaryOp::bit_and:
    case BinaryOp::bit_or:
    case BinaryOp::bit_xor:
      return true;
    case BinaryOp::sub:
    case BinaryOp::div:
    case BinaryOp::mod:
    case BinaryOp::pow:
    case BinaryOp::atan2:
    case BinaryOp::lt:
    case BinaryOp::le:
    case BinaryOp::shift_left:
    case BinaryOp::shift_right:
      return false;
  }
  PLAIT_UNREACHABLE("binary {}", static_cast<int>(op));
}

std::span<const AttributeField> attribute_fields(MetaOp op) {
  using enum AttributeField;
  static const std::vector<AttributeField> kFields[] = {
#define PLAIT_META_OP(name, kind, ...) {__VA_ARGS__},
#include "core/graph/meta_ops.def"
  };
  return kFields[static_cast<size_t>(op)];
}

bool has_attribute(MetaOp op, std::initializer_list<AttributeField> any_of) {
  return std::ranges::any_of(attribute_fields(op), [&](AttributeField field) {
    return std::ranges::find(any_of, field) != any_of.end();
  });
}

bool operator==(const Attributes& a, const Attributes& b) {
  const bool same_data = a.data == b.data || (a.data && b.data && *a.data == *b.data);
  return a.function == b.function && a.reverse == b.reverse && a.replace == b.replace &&
         a.out_of_range == b.out_of_range && a.axes == b.axes && a.map == b.map &&
         a.fill == b.fill && a.size == b.size && a.salt == b.salt && a.name == b.name &&
         a.slot == b.slot && same_data;
}

namespace {

class Hasher {
 public:
  void add(uint64_t x) {
    state_ = (state_ ^ x) * 0x9e3779b97f4a7c15ull;
    state_ ^= state_ >> 32;
  }
  size_t value() const { return state_; }

 private:
  uint64_t state_ = 0x243f6a8885a308d3ull;
};

size_t hash_node(MetaOp op, std::span<const Value> operands, const Attributes& a,
                 const Type& type) {
  Hasher h;
  h.add(static_cast<uint64_t>(op) | static_cast<uint64_t>(a.function) << 8 |
        static_cast<uint64_t>(a.reverse) << 16 | static_cast<uint64_t>(a.replace) << 17 |
        static_cast<uint64_t>(a.out_of_range) << 18 | static_cast<uint64_t>(type.dtype) << 24);
  for (Value v : operands) h.add(v);
  for (int64_t axis : a.axes) h.add(static_cast<uint64_t>(axis));
  for (Expr e : a.map) h.add(e.hash());
  for (Expr e : type.shape) h.add(e.hash());
  h.add(a.fill.bits());
  h.add(a.size.hash());
  h.add(a.salt);
  h.add(std::hash<std::string>()(a.name));
  h.add(reinterpret_cast<uint64_t>(a.slot.get()));
  if (a.data) {
    const auto* bytes = reinterpret_cast<const char*>(a.data->data());
    h.add(std::hash<std::string_view>()(std::string_view(bytes, a.data->size())));
  }
  return h.value();
}

struct ThreadContext {
  std::string scope;
  std::string op_name;
  std::string file;
  int line = 0;
};

ThreadContext& context() {
  thread_local ThreadContext instance;
  return instance;
}

}  // namespace

Value Graph::add(MetaOp op, std::vector<Value> operands, Attributes attributes, Type result) {
  std::vector<Type> types;
  types.reserve(operands.size());
  for (Value v : operands) {
    PLAIT_INTERNAL_CHECK(v < nodes_.size(), "operand {} of {} is not in the graph", v, name_of(op));
    PLAIT_CHECK(
        nodes_[v].op != MetaOp::assign, name_of(op),
        "an assign has no users; got %{}, which assigns slot '{}'. hint: use the value that "
        "is assigned",
        v, nodes_[v].attributes.slot->name());
    types.push_back(nodes_[v].type);
  }
  std::vector<SizeGuard> guards;
  Type type = infer(op, types, attributes, result, guards);
  for (SizeGuard& guard : guards) add_guard(std::move(guard));

  const size_t hash = hash_node(op, operands, attributes, type);
  if (2 * (nodes_.size() + 1) > table_.size()) grow_table();
  Value& found = table_[place_in_table(hash, op, operands, attributes, type)];
  if (found == kNoValue) {
    found = static_cast<Value>(nodes_.size());
    nodes_.push_back({op, std::move(attributes), std::move(operands), std::move(type)});
    origins_.emplace_back();
    hashes_.push_back(hash);
  }
  const ThreadContext& here = context();
  if (!here.scope.empty() || !here.file.empty()) {
    add_origin(found, {here.scope, here.file, here.line});
  }
  return found;
}

// Of the equal node, or the free place where it belongs.
size_t Graph::place_in_table(size_t hash, MetaOp op, const std::vector<Value>& operands,
                             const Attributes& attributes, const Type& type) const {
  size_t place = hash & (table_.size() - 1);
  for (; table_[place] != kNoValue; place = (place + 1) & (table_.size() - 1)) {
    const Value v = table_[place];
    if (hashes_[v] != hash) continue;
    const Node& node = nodes_[v];
    if (node.op == op && node.operands == operands && node.type == type &&
        node.attributes == attributes) {
      break;
    }
  }
  return place;
}

void Graph::grow_table() {
  table_.assign(std::max<size_t>(16, 2 * table_.size()), kNoValue);
  for (Value v = 0; v < nodes_.size(); ++v) {
    size_t place = hashes_[v] & (table_.size() - 1);
    while (table_[place] != kNoValue) place = (place + 1) & (table_.size() - 1);
    table_[place] = v;
  }
}

std::vector<Value> Graph::assigns() const {
  std::vector<Value> result;
  for (Value v = 0; v < nodes_.size(); ++v) {
    if (nodes_[v].op == MetaOp::assign) result.push_back(v);
  }
  return result;
}

std::vector<Value> Graph::roots() const {
  std::vector<Value> result;
  for (const Output& output : outputs_) result.push_back(output.value);
  for (Value v : assigns()) result.push_back(v);
  return result;
}

void Graph::add_guard(SizeGuard guard) {
  if (std::find(guards_.begin(), guards_.end(), guard) == guards_.end()) {
    guards_.push_back(std::move(guard));
  }
}

std::span<const Origin> Graph::origins(Value v) const { return origins_[v]; }

void Graph::add_origin(Value v, Origin origin) {
  // A constant that a thousand layers share needs no thousand origins.
  constexpr size_t kMost = 16;
  std::vector<Origin>& list = origins_[v];
  if (list.size() < kMost && std::find(list.begin(), list.end(), origin) == list.end()) {
    list.push_back(std::move(origin));
  }
}

std::string Graph::debug_string() const { return to_text(*this); }

Scope::Scope(std::string_view name) : length_(context().scope.size()) {
  std::string& path = context().scope;
  if (!path.empty() && !name.empty()) path += '/';
  path += name;
}

Scope::~Scope() { context().scope.resize(length_); }

std::string Scope::path() { return context().scope; }

OpName::OpName(std::string_view name) : outermost_(context().op_name.empty()) {
  if (outermost_) context().op_name = name;
}

OpName::~OpName() {
  if (outermost_) context().op_name.clear();
}

std::string_view OpName::current() { return context().op_name; }

void set_source_line(std::string file, int line) {
  context().file = std::move(file);
  context().line = line;
}

std::vector<uint32_t> use_counts(const Graph& graph) {
  const std::vector<bool> live = live_nodes(graph);
  std::vector<uint32_t> uses(graph.size(), 0);
  for (Value v = 0; v < graph.size(); ++v) {
    if (!live[v]) continue;
    for (Value operand : graph.node(v).operands) ++uses[operand];
  }
  for (const Output& output : graph.outputs()) ++uses[output.value];
  return uses;
}

Graph rewrite_graph(const Graph& graph, const NodeRewrite& rewrite) {
  const std::vector<bool> live = live_nodes(graph);
  Graph result;
  std::vector<Value> map(graph.size(), kNoValue);
  std::vector<Value> operands;
  for (Value v = 0; v < graph.size(); ++v) {
    if (!live[v]) continue;
    check_interrupt();
    const Node& node = graph.node(v);
    operands.clear();
    for (Value operand : node.operands) operands.push_back(map[operand]);
    const size_t before = result.size();
    Value replacement = rewrite(result, node, operands);
    if (replacement == kNoValue) {
      replacement = result.add(node.op, operands, node.attributes, node.type);
    }
    map[v] = replacement;
    for (const Origin& origin : graph.origins(v)) {
      for (size_t added = before; added < result.size(); ++added) {
        result.add_origin(static_cast<Value>(added), origin);
      }
      if (replacement < before) result.add_origin(replacement, origin);
    }
  }
  for (const Output& output : graph.outputs()) result.add_output(output.name, map[output.value]);
  for (const SizeGuard& guard : graph.guards()) result.add_guard(guard);
  return result;
}

size_t hash_of(const Node& node) {
  return hash_node(node.op, node.operands, node.attributes, node.type);
}

}  // namespace plait
