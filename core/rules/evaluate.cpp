#include "core/rules/evaluate.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "core/rules/evaluator.h"

namespace plait {
namespace {

// Pulled nodes nest at most this deep, which bounds the recursion of Evaluator::element.
constexpr uint32_t kMaxLevel = 64;
// Larger results are recomputed a few times rather than stored.
constexpr double kLargeCount = 1 << 22;
constexpr double kMaxRecomputation = 8;

double count_of(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), 1.0, std::multiplies<>());
}

Array as_array(const Node& constant, std::vector<int64_t> shape) {
  const auto& data = constant.attributes.data;
  Array array{constant.type.dtype, std::move(shape), nullptr};
  auto owner = std::const_pointer_cast<std::vector<std::byte>>(data);
  array.buffer = Buffer::foreign(owner->data(), owner->size(), owner);
  return array;
}

bool is_source(MetaOp op) {
  return op == MetaOp::input || op == MetaOp::parameter || op == MetaOp::constant;
}

}  // namespace

Evaluation evaluate(const Graph& graph, const std::map<std::string, Array>& inputs,
                    const SymbolValues& symbols) {
  return Evaluator(graph, inputs, symbols).run();
}

Evaluator::Evaluator(const Graph& graph, const std::map<std::string, Array>& inputs,
                     const SymbolValues& symbols)
    : graph_(graph),
      inputs_(inputs),
      symbols_(infer_symbols(graph, inputs, symbols)),
      entries_(graph.size()) {
  for (Expr symbol : untold_symbols(graph)) {
    PLAIT_CHECK(symbols_.contains(symbol.name()), "evaluate",
                "no input tells the size of dimension '{}'. hint: pass its value", symbol.name());
  }
  const std::vector<bool> live = live_nodes(graph);
  for (Value v = 0; v < graph.size(); ++v) entries_[v].live = live[v];
  resolve_shapes();
  plan();
}

void Evaluator::resolve_shapes() {
  std::unordered_map<Expr, int64_t> sizes;
  for (Value v = 0; v < graph_.size(); ++v) {
    Entry& entry = entries_[v];
    if (!entry.live) continue;
    const Node& node = graph_.node(v);
    for (Expr extent : node.type.shape) {
      auto found = sizes.find(extent);
      if (found == sizes.end()) {
        int64_t size = 0;
        IndexProgram({&extent, 1}, symbols_)
            .run(nullptr, &size, [](uint32_t, std::span<const int64_t>) -> int64_t {
              PLAIT_UNREACHABLE("a size reads no tensor");
            });
        PLAIT_CHECK(size >= 0, "run", "a size is negative; got {} = {} in {}", to_string(extent),
                    size, to_string(node.type));
        found = sizes.emplace(extent, size).first;
      }
      entry.shape.push_back(found->second);
    }
    if (node.op == MetaOp::reindex || node.op == MetaOp::scatter) {
      entry.map = std::make_unique<IndexProgram>(node.attributes.map, symbols_);
      entry.index.resize(node.attributes.map.size());
    } else if (node.op == MetaOp::broadcast) {
      entry.index.resize(node.attributes.axes.size());
    }
  }
}

double Evaluator::visits(Value v, size_t operand) const {
  const Node& node = graph_.node(v);
  const Entry& entry = entries_[v];
  const double of_operand = count_of(entries_[node.operands[operand]].shape);
  const double reads = entry.pulled ? entry.reads : count_of(entry.shape);
  switch (node.op) {
    case MetaOp::reduce:
    case MetaOp::scan:
    case MetaOp::sort:
    case MetaOp::concat:
    case MetaOp::assign:
    case MetaOp::random:
      return of_operand;
    case MetaOp::scatter:
      return operand == 0 ? of_operand : count_of(entries_[node.operands[1]].shape);
    case MetaOp::input:
    case MetaOp::parameter:
    case MetaOp::constant:
    case MetaOp::iota:
    case MetaOp::size:
    case MetaOp::unary:
    case MetaOp::binary:
    case MetaOp::fma:
    case MetaOp::select:
    case MetaOp::cast:
    case MetaOp::detach:
    case MetaOp::broadcast:
    case MetaOp::reindex:
      return reads;
  }
  PLAIT_UNREACHABLE("meta-op {}", static_cast<int>(node.op));
}

bool Evaluator::should_pull(Value v) const {
  const Node& node = graph_.node(v);
  const Entry& entry = entries_[v];
  if (entry.last_reader == kNoValue || entry.level > kMaxLevel) return false;
  switch (node.op) {
    case MetaOp::broadcast:
    case MetaOp::iota:
    case MetaOp::size:
      return true;
    case MetaOp::reindex:
      if (node.attributes.out_of_range == OutOfRange::error) return false;
      [[fallthrough]];
    case MetaOp::unary:
    case MetaOp::binary:
    case MetaOp::fma:
    case MetaOp::select:
    case MetaOp::cast:
    case MetaOp::detach: {
      const double count = count_of(entry.shape);
      return entry.reads <= (count > kLargeCount ? kMaxRecomputation : 1) * count;
    }
    case MetaOp::input:
    case MetaOp::parameter:
    case MetaOp::constant:
    case MetaOp::random:
    case MetaOp::reduce:
    case MetaOp::scatter:
    case MetaOp::concat:
    case MetaOp::scan:
    case MetaOp::sort:
    case MetaOp::assign:
      return false;
  }
  PLAIT_UNREACHABLE("meta-op {}", static_cast<int>(node.op));
}

// Users come after their operands, so one sweep from the last node settles everything.
void Evaluator::plan() {
  for (Value v : graph_.roots()) entries_[v].last_reader = kNoValue;
  for (size_t i = graph_.size(); i-- > 0;) {
    const auto v = static_cast<Value>(i);
    Entry& entry = entries_[v];
    if (!entry.live) continue;
    entry.pulled = should_pull(v);
    const Value reader = entry.pulled ? entry.last_reader : v;
    const Node& node = graph_.node(v);
    for (size_t k = 0; k < node.operands.size(); ++k) {
      Entry& operand = entries_[node.operands[k]];
      operand.reads += visits(v, k);
      if (entry.pulled) operand.level = std::max(operand.level, entry.level + 1);
      if (operand.last_reader != kNoValue) {
        operand.last_reader = std::max(operand.last_reader, reader);
      }
    }
  }
}

Evaluation Evaluator::run() {
  std::vector<std::vector<Value>> released(graph_.size());
  for (Value v = 0; v < graph_.size(); ++v) {
    const Entry& entry = entries_[v];
    if (entry.live && !entry.pulled && entry.last_reader != kNoValue) {
      released[entry.last_reader].push_back(v);
    }
  }
  for (Value v = 0; v < graph_.size(); ++v) {
    if (entries_[v].live && !entries_[v].pulled) store(v);
    for (Value done : released[v]) entries_[done].array = {};
  }
  Evaluation result;
  for (const Output& output : graph_.outputs()) {
    const Array& array = entries_[output.value].array;
    const bool owned_elsewhere = is_source(graph_.node(output.value).op);
    result.outputs.push_back(owned_elsewhere ? array.clone() : array);
  }
  for (Value v : graph_.assigns()) {
    result.assigns.emplace_back(graph_.node(v).attributes.slot, entries_[v].array);
  }
  return result;
}

void Evaluator::store(Value v) {
  const Node& node = graph_.node(v);
  Entry& entry = entries_[v];
  switch (node.op) {
    case MetaOp::input:
      entry.array = inputs_.at(node.attributes.name);
      return;
    case MetaOp::parameter:
      entry.array = node.attributes.slot->value();
      return;
    case MetaOp::constant:
      entry.array = as_array(node, entry.shape);
      return;
    case MetaOp::random:
      return store_random(v);
    case MetaOp::reduce:
      return store_reduce(v);
    case MetaOp::scatter:
      return store_scatter(v);
    case MetaOp::concat:
      return store_concat(v);
    case MetaOp::scan:
      return store_scan(v);
    case MetaOp::sort:
      return store_sort(v);
    case MetaOp::iota:
    case MetaOp::size:
    case MetaOp::unary:
    case MetaOp::binary:
    case MetaOp::fma:
    case MetaOp::select:
    case MetaOp::cast:
    case MetaOp::detach:
    case MetaOp::broadcast:
    case MetaOp::reindex:
    case MetaOp::assign:
      return store_elementwise(v);
  }
  PLAIT_UNREACHABLE("meta-op {}", static_cast<int>(node.op));
}

Number Evaluator::element(Value v, const int64_t* index) {
  const Entry& entry = entries_[v];
  if (!entry.array.buffer) return compute(v, index);
  int64_t position = 0;
  for (size_t i = 0; i < entry.shape.size(); ++i) position = position * entry.shape[i] + index[i];
  return load_number(entry.array.dtype, entry.array.data<std::byte>(), position);
}

Number Evaluator::compute(Value v, const int64_t* index) {
  const Node& node = graph_.node(v);
  const std::vector<Value>& operands = node.operands;
  Entry& entry = entries_[v];
  switch (node.op) {
    case MetaOp::iota:
      return convert(integer(index[node.attributes.axes[0]]), DType::i64, node.type.dtype);
    case MetaOp::size: {
      int64_t size = 0;
      IndexProgram({&node.attributes.size, 1}, symbols_)
          .run(nullptr, &size, [](uint32_t, std::span<const int64_t>) { return int64_t{0}; });
      return integer(size);
    }
    case MetaOp::unary:
      return apply(node.unary(), graph_.type(operands[0]).dtype, element(operands[0], index));
    case MetaOp::binary: {
      const Number a = element(operands[0], index);
      return apply(node.binary(), graph_.type(operands[0]).dtype, a, element(operands[1], index));
    }
    case MetaOp::fma: {
      const Number a = element(operands[0], index);
      const Number b = element(operands[1], index);
      return apply_fma(node.type.dtype, a, b, element(operands[2], index));
    }
    case MetaOp::select:
      return element(operands[element(operands[0], index).i ? 1 : 2], index);
    case MetaOp::cast:
      return convert(element(operands[0], index), graph_.type(operands[0]).dtype, node.type.dtype);
    case MetaOp::detach:
    case MetaOp::assign:
      return element(operands[0], index);
    case MetaOp::broadcast: {
      const std::vector<int64_t>& shape = entries_[operands[0]].shape;
      for (size_t k = 0; k < shape.size(); ++k) {
        entry.index[k] = shape[k] == 1 ? 0 : index[node.attributes.axes[k]];
      }
      return element(operands[0], entry.index.data());
    }
    case MetaOp::reindex:
      return reindexed(v, index);
    case MetaOp::input:
    case MetaOp::parameter:
    case MetaOp::constant:
    case MetaOp::random:
    case MetaOp::reduce:
    case MetaOp::scatter:
    case MetaOp::concat:
    case MetaOp::scan:
    case MetaOp::sort:
      break;
  }
  PLAIT_UNREACHABLE("{} is stored, never pulled", name_of(node.op));
}

Number Evaluator::reindexed(Value v, const int64_t* index) {
  const Node& node = graph_.node(v);
  if (map_index(v, index, 1)) return element(node.operands[0], entries_[v].index.data());
  return number_of(node.attributes.fill, node.type.dtype);
}

bool Evaluator::map_index(Value v, const int64_t* index, size_t first_index_operand) {
  const Node& node = graph_.node(v);
  Entry& entry = entries_[v];
  entry.map->run(index, entry.index.data(), [&](uint32_t tensor, std::span<const int64_t> at) {
    const Value operand = node.operands[first_index_operand + tensor];
    const std::vector<int64_t>& shape = entries_[operand].shape;
    for (size_t i = 0; i < at.size(); ++i) {
      PLAIT_CHECK(at[i] >= 0 && at[i] < shape[i], origin_name(v),
                  "the map reads outside the index tensor {}; axis {}: {} is not in 0..{}",
                  to_string(graph_.type(operand)), i, at[i], shape[i] - 1);
    }
    return element(operand, at.data()).i;
  });
  const std::vector<int64_t>& extents = entries_[node.operands[0]].shape;
  for (size_t axis = 0; axis < extents.size(); ++axis) {
    if (entry.index[axis] >= 0 && entry.index[axis] < extents[axis]) continue;
    if (node.attributes.out_of_range == OutOfRange::error) {
      const Value positions = node.op == MetaOp::scatter ? node.operands[1] : v;
      out_of_range(v, index, entries_[positions].shape.size(), axis);
    }
    return false;
  }
  return true;
}

void Evaluator::out_of_range(Value v, const int64_t* position, size_t position_rank,
                             size_t axis) const {
  const Value target = graph_.node(v).operands[0];
  throw UserError(fmt::format(
      "[{}] index out of range; axis {} of {} at position [{}]: {} is not in 0..{}", origin_name(v),
      axis, to_string(graph_.type(target)), fmt::join(position, position + position_rank, ", "),
      entries_[v].index[axis], entries_[target].shape[axis] - 1));
}

std::string Evaluator::origin_name(Value v) const {
  const auto origins = graph_.origins(v);
  const char* op = name_of(graph_.node(v).op);
  if (origins.empty() || origins[0].scope.empty()) return op;
  return origins[0].scope + "/" + op;
}

}  // namespace plait
