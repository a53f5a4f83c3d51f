#include "core/index/expr.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "core/index/node.h"

namespace plait {

namespace {

constexpr uint32_t kDeep = 64;  // deeper nodes are ordered by hash, so that comparing stays shallow
constexpr uint64_t kMaxCount = std::numeric_limits<uint32_t>::max();

uint64_t mix(uint64_t h, uint64_t value) {
  h ^= value + 0x9e3779b97f4a7c15ull + (h << 6) + (h >> 2);
  h *= 0xbf58476d1ce4e5b9ull;
  return h ^ (h >> 31);
}

uint64_t hash_of(ExprKind kind, int64_t value, uint32_t id, std::span<const Expr> operands) {
  uint64_t h = mix(static_cast<uint64_t>(kind) + 1, static_cast<uint64_t>(value));
  h = mix(h, id);
  for (Expr e : operands) h = mix(h, node_of(e).hash);
  return h;
}

uint64_t hash_of(const std::string& name) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (char c : name) h = (h ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  return mix(h, name.size());
}

// A number that divides the value of the node, from what is known of its operands.
uint64_t known_multiple(const ExprNode& node) {
  const auto& operands = node.operands;
  uint64_t result = 0;
  switch (node.kind) {
    case ExprKind::constant:
      return magnitude(node.value);
    case ExprKind::symbol:
      return static_cast<uint64_t>(node.symbol_multiple);
    case ExprKind::variable:
    case ExprKind::element:
      return 1;
    case ExprKind::add:
    case ExprKind::min:
    case ExprKind::max:
    case ExprKind::mod:
      for (Expr e : operands) result = gcd_u64(result, node_of(e).multiple);
      return result;
    case ExprKind::mul:
      result = 1;
      for (Expr e : operands) {
        uint64_t factor = node_of(e).multiple, wide;
        // One of two factors divides the product too.
        if (__builtin_mul_overflow(result, factor, &wide)) wide = std::max(result, factor);
        result = wide;
      }
      return result;
    case ExprKind::floor_div: {
      auto divisor = operands[1].constant();
      if (!divisor || *divisor == 0) return 1;
      uint64_t dividend = node_of(operands[0]).multiple, d = magnitude(*divisor);
      return dividend % d == 0 ? dividend / d : 1;
    }
  }
  PLAIT_UNREACHABLE("expression kind {}", static_cast<int>(node.kind));
}

bool is_exact_div(const ExprNode& node) {
  if (node.kind != ExprKind::floor_div) return false;
  auto divisor = node.operands[1].constant();
  return divisor && *divisor != 0 && node_of(node.operands[0]).multiple % magnitude(*divisor) == 0;
}

void fill_facts(ExprNode& node) {
  const bool division = node.kind == ExprKind::floor_div || node.kind == ExprKind::mod;
  uint64_t size = 1, divisions = division ? 1 : 0;
  std::vector<Span64> spans;
  spans.reserve(node.operands.size());
  for (Expr e : node.operands) {
    const ExprNode& operand = node_of(e);
    node.has_variable |= operand.has_variable;
    node.has_element |= operand.has_element;
    node.variable_mask |= operand.variable_mask;
    node.depth = std::max(node.depth, operand.depth + 1);
    size = std::min(kMaxCount, size + operand.tree_size);
    divisions = std::min(kMaxCount, divisions + operand.divisions);
    spans.push_back(operand.span);
    if (node.kind == ExprKind::mul) node.has_exact_div |= operand.has_exact_div;
  }
  node.tree_size = static_cast<uint32_t>(size);
  node.divisions = static_cast<uint32_t>(divisions);
  if (node.kind == ExprKind::variable) {
    node.has_variable = true;
    node.variable_mask = 1ull << (node.id % 64);
  }
  node.has_element |= node.kind == ExprKind::element;
  node.has_exact_div |= is_exact_div(node);
  node.multiple = known_multiple(node);
  node.span = combine_spans(node, spans);
}

// What identifies a node.
struct Key {
  ExprKind kind;
  int64_t value;
  uint32_t id;
  std::span<const Expr> operands;
  uint64_t hash;
};

// A part of the table of all nodes: open addressing, one mutex.
class Shard {
 public:
  const ExprNode* find_or_add(const Key& key, const ExprNode* monomial) {
    std::lock_guard lock(mutex_);
    if (2 * (count_ + 1) > slots_.size()) grow();
    size_t i = key.hash & (slots_.size() - 1);
    for (; slots_[i]; i = (i + 1) & (slots_.size() - 1))
      if (equal(*slots_[i], key)) return slots_[i].get();
    auto node = std::make_unique<ExprNode>();
    node->kind = key.kind;
    node->value = key.value;
    node->id = key.id;
    node->operands.assign(key.operands.begin(), key.operands.end());
    node->hash = key.hash;
    node->monomial = monomial ? monomial : node.get();
    fill_facts(*node);
    ++count_;
    slots_[i] = std::move(node);
    return slots_[i].get();
  }

 private:
  static bool equal(const ExprNode& node, const Key& key) {
    return node.hash == key.hash && node.kind == key.kind && node.value == key.value &&
           node.id == key.id &&
           std::equal(key.operands.begin(), key.operands.end(), node.operands.begin(),
                      node.operands.end());
  }

  void grow() {
    std::vector<std::unique_ptr<ExprNode>> old(2 * slots_.size());
    old.swap(slots_);
    for (auto& node : old) {
      if (!node) continue;
      size_t i = node->hash & (slots_.size() - 1);
      while (slots_[i]) i = (i + 1) & (slots_.size() - 1);
      slots_[i] = std::move(node);
    }
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<ExprNode>> slots_{64};
  size_t count_ = 0;
};

constexpr size_t kShards = 64;

// Never destroyed: expressions may outlive static objects.
Shard& shard_of(uint64_t hash) {
  static auto& shards = *new std::array<Shard, kShards>;
  return shards[hash >> 58];
}

class SymbolTable {
 public:
  static SymbolTable& instance() {
    static auto& table = *new SymbolTable;
    return table;
  }

  const ExprNode* find(std::string_view name) {
    std::shared_lock lock(mutex_);
    auto it = symbols_.find(name);
    return it == symbols_.end() ? nullptr : it->second.get();
  }

  const ExprNode* add(std::unique_ptr<ExprNode> node) {
    std::unique_lock lock(mutex_);
    return symbols_.try_emplace(node->name, std::move(node)).first->second.get();
  }

  std::vector<std::string> names() {
    std::shared_lock lock(mutex_);
    std::vector<std::string> result;
    for (const auto& entry : symbols_) result.push_back(entry.first);
    return result;
  }

 private:
  std::shared_mutex mutex_;
  std::map<std::string, std::unique_ptr<ExprNode>, std::less<>> symbols_;
};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// `i3` is a variable in the text form, and the functions are words of it.
bool is_symbol_name(const std::string& name) {
  if (name.empty() || !is_letter(name[0])) return false;
  for (char c : name)
    if (!is_letter(c) && !is_digit(c)) return false;
  if (name == "min" || name == "max" || name == "mod" || name == "floor_div" || name == "ceil_div")
    return false;
  return !(name[0] == 'i' && name.size() > 1 &&
           std::all_of(name.begin() + 1, name.end(), is_digit));
}

int sign_of(bool less) { return less ? -1 : 1; }

int rank_of(const ExprNode& node) {
  switch (node.kind) {
    case ExprKind::variable:
      return 0;
    case ExprKind::element:
      return 1;
    case ExprKind::floor_div:
      return 2;
    case ExprKind::mod:
      return 3;
    case ExprKind::min:
      return 4;
    case ExprKind::max:
      return 5;
    case ExprKind::symbol:
      return 6;
    case ExprKind::mul:
      return 7;
    case ExprKind::add:
      return 8;
    case ExprKind::constant:
      return 9;
  }
  PLAIT_UNREACHABLE("expression kind {}", static_cast<int>(node.kind));
}

// Lexicographic; where one list starts the other, the longer comes first (i0*n before i0).
int compare_lists(std::span<const Expr> a, std::span<const Expr> b) {
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    if (int order = Expr::compare(a[i], b[i])) return order;
  return a.size() == b.size() ? 0 : sign_of(a.size() > b.size());
}

}  // namespace

Expr ExprFactory::intern(ExprKind kind, int64_t value, uint32_t id, std::span<const Expr> operands,
                         const ExprNode* monomial) {
  const uint64_t hash = hash_of(kind, value, id, operands);
  return Expr(*shard_of(hash).find_or_add({kind, value, id, operands, hash}, monomial));
}

const ExprNode* find_symbol(std::string_view name) { return SymbolTable::instance().find(name); }
std::vector<std::string> symbol_names() { return SymbolTable::instance().names(); }

Expr::Expr(int64_t value) {
  constexpr int64_t kSmall = 256;
  static const auto& small = *[] {
    auto* table = new std::array<const ExprNode*, 2 * kSmall>;
    const ExprNode* one = nullptr;
    auto make = [&](int64_t v) {
      return ExprFactory::node(ExprFactory::intern(ExprKind::constant, v, 0, {}, one));
    };
    one = make(1);
    for (int64_t v = -kSmall; v < kSmall; ++v) (*table)[v + kSmall] = make(v);
    return table;
  }();
  if (value >= -kSmall && value < kSmall) {
    node_ = small[value + kSmall];
  } else {
    node_ = ExprFactory::intern(ExprKind::constant, value, 0, {}, small[kSmall + 1]).node_;
  }
}

Expr Expr::symbol(const std::string& name, int64_t lo, int64_t hi, int64_t multiple) {
  const ExprNode* node = find_symbol(name);
  if (!node) {
    PLAIT_CHECK(is_symbol_name(name), "dim",
                "a dimension's name must be an identifier, and not i<number>, min, max, mod, "
                "floor_div or ceil_div; got \"{}\"",
                name);
    PLAIT_CHECK(0 <= lo && lo <= hi, "dim", "bounds must be 0 <= lo <= hi; got {}: [{}, {}]", name,
                lo, hi);
    PLAIT_CHECK(multiple >= 1, "dim", "the multiple must be at least 1; got {}: {}", name,
                multiple);
    const int64_t last = hi / multiple * multiple;
    PLAIT_CHECK(last >= lo, "dim", "no multiple of {} lies within the bounds; got {}: [{}, {}]",
                multiple, name, lo, hi);
    auto fresh = std::make_unique<ExprNode>();
    fresh->kind = ExprKind::symbol;
    fresh->name = name;
    fresh->symbol_lo = lo;
    fresh->symbol_hi = hi;
    fresh->symbol_multiple = multiple;
    fresh->hash = mix(hash_of(name), static_cast<uint64_t>(ExprKind::symbol));
    fresh->monomial = fresh.get();
    fresh->multiple = static_cast<uint64_t>(multiple);
    fresh->span = {lo == 0 ? 0 : ((lo - 1) / multiple + 1) * multiple, last};
    node = SymbolTable::instance().add(std::move(fresh));
  }
  PLAIT_CHECK(node->symbol_lo == lo && node->symbol_hi == hi && node->symbol_multiple == multiple,
              "dim",
              "one name is one dimension; got {0}: [{1}, {2}] multiple {3}, before {0}: [{4}, {5}] "
              "multiple {6}. hint: give the dimensions different names",
              name, lo, hi, multiple, node->symbol_lo, node->symbol_hi, node->symbol_multiple);
  return Expr(*node);
}

Expr Expr::variable(uint32_t id) { return ExprFactory::intern(ExprKind::variable, 1, id, {}); }

Expr Expr::element(uint32_t tensor, std::vector<Expr> indices) {
  return ExprFactory::intern(ExprKind::element, 1, tensor, indices);
}

ExprKind Expr::kind() const { return node_->kind; }
std::span<const Expr> Expr::operands() const { return node_->operands; }
uint32_t Expr::id() const { return node_->id; }
const std::string& Expr::name() const { return node_->name; }
int64_t Expr::symbol_lo() const { return node_->symbol_lo; }
int64_t Expr::symbol_hi() const { return node_->symbol_hi; }
int64_t Expr::symbol_multiple() const { return node_->symbol_multiple; }

std::optional<int64_t> Expr::constant() const {
  if (node_->kind != ExprKind::constant) return std::nullopt;
  return node_->value;
}

int Expr::compare(Expr a, Expr b) {
  if (a == b) return 0;
  const ExprNode &x = *a.node_, &y = *b.node_;
  const bool deep = x.depth >= kDeep;
  if (deep != (y.depth >= kDeep)) return sign_of(!deep);
  if (deep && x.hash != y.hash) return sign_of(x.hash < y.hash);
  const int rank_x = rank_of(x), rank_y = rank_of(y);
  if (rank_x >= 8 || rank_y >= 8) {  // sums and constants
    if (rank_x != rank_y) return sign_of(rank_x < rank_y);
    if (rank_x == 9) return sign_of(x.value < y.value);
    return compare_lists(x.operands, y.operands);
  }
  if (rank_x == 7 || rank_y == 7) {
    const Expr left(*x.monomial), right(*y.monomial);
    if (int order = compare_lists(factors_of(left), factors_of(right))) return order;
    return sign_of(x.value < y.value);
  }
  if (rank_x != rank_y) return sign_of(rank_x < rank_y);
  if (rank_x == 6) return sign_of(x.name < y.name);
  if (x.id != y.id) return sign_of(x.id < y.id);
  return compare_lists(x.operands, y.operands);
}

}  // namespace plait
