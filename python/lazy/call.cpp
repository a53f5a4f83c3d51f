#include "python/lazy/call.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "core/error.h"
#include "core/options.h"
#include "ops/random.h"
#include "python/lazy/capture.h"
#include "python/lazy/evaluate.h"

namespace plait::lazy {
namespace {

// Longer chains run when they get here, so that programs stay of a size that compiles quickly.
constexpr uint32_t kMaxDepth = 256, kMaxDepthWithGradients = 20'000;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

Parameter::Type parameter_type(const std::string& name) {
  using enum Parameter::Type;
  static const std::unordered_map<std::string, Parameter::Type> types = {
      {"Tensor", tensor},  {"Tensor[]", tensors}, {"Operand", operand}, {"int", integer},
      {"int[]", integers}, {"Size", size},        {"Shape", shape},     {"float", number},
      {"bool", flag},      {"str", text},         {"DType", dtype}};
  const auto found = types.find(name);
  PLAIT_INTERNAL_CHECK(found != types.end(), "signature type {}", name);
  return found->second;
}

// "Type name=default"
Parameter parse_parameter(std::string_view text, bool keyword_only) {
  const size_t space = text.find(' ');
  std::string type(text.substr(0, space));
  std::string_view name = text.substr(space + 1);
  Parameter result{};
  result.type_text = type;
  result.keyword_only = keyword_only;
  result.optional = type.back() == '?';
  if (result.optional) type.pop_back();
  result.type = parameter_type(type);
  if (const size_t equals = name.find('='); equals != name.npos) {
    result.initial = std::string(name.substr(equals + 1));
    name = name.substr(0, equals);
  }
  result.name = std::string(name);
  return result;
}

// "name(Type argument=default, *, …) -> …"
Op parse_op(const OpRecord& record) {
  Op op{&record, {}};
  const std::string_view signature = record.signature;
  const size_t open = signature.find('('), close = signature.rfind(") ->");
  std::string_view text = signature.substr(open + 1, close - open - 1);
  bool keyword_only = false;
  while (!text.empty()) {
    size_t end = 0;
    for (int depth = 0; end < text.size() && (depth > 0 || text[end] != ','); ++end) {
      depth += text[end] == '[' || text[end] == '(';
      depth -= text[end] == ']' || text[end] == ')';
    }
    const std::string_view part = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (part == "*") {
      keyword_only = true;
      continue;
    }
    op.parameters.push_back(parse_parameter(part, keyword_only));
    op.positional += !keyword_only;
  }
  op.returns_list = signature.ends_with("[]");
  return op;
}

void append(std::string& key, const void* data, size_t size) {
  key.append(static_cast<const char*>(data), size);
}
template <class T>
void append(std::string& key, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  append(key, &value, sizeof(value));
}

// Expressions are interned, so an address stands for one as long as the process lives.
struct AppendArgument {
  std::string& key;
  void operator()(std::monostate) const {}
  void operator()(OperandIndex i) const { append(key, i.value); }
  void operator()(const std::vector<OperandIndex>& list) const {
    append(key, list.size());
    for (OperandIndex i : list) append(key, i.value);
  }
  void operator()(int64_t value) const { append(key, value); }
  void operator()(double value) const { append(key, value); }
  void operator()(bool value) const { append(key, value); }
  void operator()(DType value) const { append(key, value); }
  void operator()(Expr value) const { append(key, value.hash()); }
  void operator()(const std::string& value) const {
    append(key, value.size());
    key += value;
  }
  void operator()(const std::vector<int64_t>& list) const {
    append(key, list.size());
    append(key, list.data(), list.size() * sizeof(int64_t));
  }
  void operator()(const Shape& shape) const {
    append(key, shape.size());
    for (Expr e : shape) append(key, e.hash());
  }
};

// The call as bytes; with `values` the floating numbers too.
std::string call_key(const Op& op, const std::vector<CallArgument>& arguments,
                     const std::vector<Ref>& operands, bool values) {
  std::string key;
  append(key, op.number);
  key += Options::global().strict_broadcast ? 's' : 'n';
  for (size_t i = 0; i < arguments.size(); ++i) {
    append(key, arguments[i].index());
    const bool number = op.parameters[i].type == Parameter::Type::operand &&
                        std::holds_alternative<double>(arguments[i]);
    if (!number || values) std::visit(AppendArgument{key}, arguments[i]);
  }
  for (const Ref& operand : operands) {
    const Type& type = operand.type();
    append(key, type.dtype);
    AppendArgument{key}(type.shape);
  }
  return key;
}

// What equal calls share. Forgotten as a whole when it gets large: nodes hold what they need.
using Memory = std::unordered_map<std::string, std::shared_ptr<const Call>>;
Memory& memory() {
  static Memory calls;
  return calls;
}

std::shared_ptr<const Call> infer_call(const Op& op, std::vector<CallArgument> arguments,
                                       const std::vector<Ref>& operands) {
  auto call = std::make_shared<Call>();
  call->record = op.record;
  call->structure = hash_bytes(call_key(op, arguments, operands, false));
  call->arguments = std::move(arguments);
  reset_current_graph();
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < operands.size(); ++i) {
    call->operand_types.push_back(operands[i].type());
    inputs.push_back(input(std::to_string(i), operands[i].type().dtype, operands[i].type().shape));
  }
  for (size_t i = 0; i < call->arguments.size(); ++i) {
    if (op.parameters[i].type == Parameter::Type::operand &&
        std::holds_alternative<double>(call->arguments[i])) {
      call->numbers.push_back(i);
    }
  }
  const std::vector<Argument> given = to_arguments(*call, inputs);
  const std::vector<Tensor> results = op.record->composition(given);
  for (const Tensor& result : results) call->results.push_back(result.type());
  const std::shared_ptr<Graph> graph = current_graph();
  bool draws = false;
  for (Value v = 0; v < graph->size(); ++v) draws |= graph->node(v).op == MetaOp::random;
  if (!draws) return call;
  call->drawing = graph;
  for (const Tensor& result : results) call->drawn.push_back(result.value());
  return call;
}

std::shared_ptr<const Call> find_call(const Op& op, std::vector<CallArgument> arguments,
                                      const std::vector<Ref>& operands) {
  std::string key = call_key(op, arguments, operands, true);
  if (const auto found = memory().find(key); found != memory().end()) return found->second;
  std::shared_ptr<const Call> call = infer_call(op, std::move(arguments), operands);
  constexpr size_t kMost = 4000;
  if (memory().size() >= kMost) memory().clear();
  memory().emplace(std::move(key), call);
  return call;
}

// Seed and step for one draw; the next gets another step.
Array take_random_key() {
  Array key = random_state()->value().clone();
  Array next = key.clone();
  ++next.data<int64_t>()[1];
  random_state()->set(std::move(next));
  return key;
}

}  // namespace

const std::vector<Op>& ops() {
  static const std::vector<Op> list = [] {
    std::vector<Op> result;
    for (const OpRecord& record : op_records()) {
      result.push_back(parse_op(record));
      result.back().number = result.size() - 1;
    }
    return result;
  }();
  return list;
}

const Op& find_operation(std::string_view name) {
  return ops()[static_cast<size_t>(&find_op(name) - op_records().data())];
}

std::vector<Argument> to_arguments(const Call& call, const std::vector<Tensor>& operands) {
  struct Convert {
    const std::vector<Tensor>& operands;
    Argument operator()(OperandIndex i) const { return operands[i.value]; }
    Argument operator()(const std::vector<OperandIndex>& list) const {
      std::vector<Tensor> tensors;
      for (OperandIndex i : list) tensors.push_back(operands[i.value]);
      return tensors;
    }
    Argument operator()(std::monostate) const { return std::monostate(); }
    Argument operator()(int64_t value) const { return value; }
    Argument operator()(double value) const { return value; }
    Argument operator()(bool value) const { return value; }
    Argument operator()(const std::string& value) const { return value; }
    Argument operator()(DType value) const { return value; }
    Argument operator()(const std::vector<int64_t>& value) const { return value; }
    Argument operator()(Expr value) const { return value; }
    Argument operator()(const Shape& value) const { return value; }
  };
  std::vector<Argument> result;
  for (const CallArgument& argument : call.arguments) {
    result.push_back(std::visit(Convert{operands}, argument));
  }
  return result;
}

std::vector<Ref> make_call(const Op& op, std::vector<CallArgument> arguments,
                           std::vector<Ref> operands) {
  auto node = std::make_shared<Node>(Kind::call);
  node->call = find_call(op, std::move(arguments), operands);
  node->set_types(node->call->results);
  bool floats = false;
  for (const Type& type : node->types) floats |= is_float(type.dtype);
  for (const Ref& operand : operands) {
    node->requires_grad |= operand.node->requires_grad && is_float(operand.type().dtype);
    if (!operand.node->computed(operand.index)) {
      node->depth = std::max(node->depth, operand.node->depth + 1);
    }
  }
  node->requires_grad &= floats && grad_enabled() && op.record->name() != "detach";
  node->operands = std::move(operands);
  const bool captured = Capture::current() != nullptr;
  if (node->call->drawing && !captured) node->key = take_random_key();
  std::vector<Ref> results;
  for (uint32_t i = 0; i < node->types.size(); ++i) results.push_back({node, i});
  const uint32_t most = node->requires_grad ? kMaxDepthWithGradients : kMaxDepth;
  if (node->depth >= most && !captured) evaluate(results);
  return results;
}

Ref call_op(std::string_view name, std::vector<CallArgument> arguments, std::vector<Ref> operands) {
  return make_call(find_operation(name), std::move(arguments), std::move(operands))[0];
}

namespace {

// What gradients passed through forgets how it was computed.
void free_history(Node* loss) {
  std::vector<Node*> pending = {loss};
  while (!pending.empty()) {
    Node* node = pending.back();
    pending.pop_back();
    if (node->operands.empty() || node->history_freed) continue;
    node->history_freed = true;
    node->cut =
        "backward() has been called on this loss, or on one that was computed with it, which then "
        "forgot how it was computed. hint: backward(retain_graph=True), or compute the loss again";
    for (const Ref& operand : node->operands) {
      if (operand.node->requires_grad) pending.push_back(operand.node.get());
    }
  }
}

}  // namespace

std::vector<Ref> gradient(const Ref& loss, const Ref& seed, const std::vector<Ref>& wrt,
                          GradientOptions options) {
  if (Capture* capture = Capture::current()) capture->note_gradient();
  auto node = std::make_shared<Node>(Kind::gradient);
  node->operands.push_back(loss);
  node->has_seed = static_cast<bool>(seed);
  if (seed) node->operands.push_back(seed);
  std::vector<Type> types;
  for (const Ref& ref : wrt) {
    types.push_back(ref.type());
    node->operands.push_back(ref);
  }
  node->set_types(std::move(types));
  node->requires_grad = options.create_graph;
  set_pending(*node, true);
  if (options.frees_history) free_history(loss.node.get());
  std::vector<Ref> results;
  for (uint32_t i = 0; i < wrt.size(); ++i) results.push_back({node, i});
  return results;
}

std::vector<Leaf> leaves_of(const Ref& loss) {
  std::map<uint64_t, std::pair<std::shared_ptr<Cell>, Ref>> found;  // by the node's id
  std::set<const Node*> seen = {loss.node.get()};
  std::vector<NodePtr> pending = {loss.node};
  while (!pending.empty()) {
    const NodePtr node = std::move(pending.back());
    pending.pop_back();
    PLAIT_CHECK(!node->cut, "grad", "{}", node->cut);
    if (auto cell = node->leaf.lock(); cell && node->operands.empty()) {
      found.emplace(node->id, std::pair(std::move(cell), Ref{node, 0}));
    }
    for (const Ref& operand : node->operands) {
      const NodePtr& next = operand.node;
      if (next->requires_grad && seen.insert(next.get()).second) pending.push_back(next);
    }
  }
  std::vector<Leaf> leaves;
  std::map<const Cell*, size_t> number;
  for (auto& [id, leaf] : found) {
    const auto [it, is_new] = number.emplace(leaf.first.get(), leaves.size());
    if (is_new) leaves.push_back({leaf.first, {}});
    leaves[it->second].values.push_back(leaf.second);
  }
  return leaves;
}

void append_arguments(std::string& key, const std::vector<CallArgument>& arguments) {
  for (const CallArgument& argument : arguments) {
    append(key, argument.index());
    std::visit(AppendArgument{key}, argument);
  }
}

void clear_call_memory() { memory().clear(); }
size_t call_memory_size() { return memory().size(); }

}  // namespace plait::lazy
