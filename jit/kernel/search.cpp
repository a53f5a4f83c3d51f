// What the prover can't decide is tried out: all points of a small domain, or many of a large one.
#include <algorithm>
#include <random>
#include <set>

#include "core/error.h"
#include "jit/kernel/facts.h"

namespace plait::kernel {
namespace {

constexpr int64_t kMostPoints = 1 << 14;
constexpr int kSamples = 1 << 11;

// The values that a size symbol takes in a search: small ones, odd ones, the largest.
std::vector<int64_t> symbol_samples(Expr symbol) {
  std::vector<int64_t> result;
  const int64_t step = symbol.symbol_multiple();
  const int64_t first = (symbol.symbol_lo() + step - 1) / step * step;
  for (const int64_t k : {0, 1, 2, 3, 7, 31, 32, 33, 1000}) {
    const int64_t value = first + k * step;
    if (value <= symbol.symbol_hi()) result.push_back(value);
  }
  return result;
}

// What e divides by and is no number, inner divisors first.
std::vector<Expr> divisors_of(Expr e) {
  std::vector<Expr> result;
  for (Expr operand : e.operands()) {
    for (Expr divisor : divisors_of(operand)) result.push_back(divisor);
  }
  const bool divides = e.kind() == ExprKind::floor_div || e.kind() == ExprKind::mod;
  if (divides && !e.operands()[1].constant()) result.push_back(e.operands()[1]);
  return result;
}

class Search {
 public:
  Search(Expr goal, std::vector<Expr> facts, const std::vector<uint32_t>& variables,
         const Ranges& ranges, bool whole_domain)
      : goal_(goal), facts_(std::move(facts)) {
    std::set<uint32_t> needed;
    for (uint32_t v : variables_of(goal)) needed.insert(v);
    if (whole_domain) needed.insert(variables.begin(), variables.end());
    for (bool grows = true; grows;) {
      const size_t before = needed.size();
      auto need_with = [&](Expr e) {
        const std::vector<uint32_t> used = variables_of(e);
        const bool touches =
            std::any_of(used.begin(), used.end(), [&](uint32_t v) { return needed.contains(v); });
        if (touches) needed.insert(used.begin(), used.end());
      };
      for (uint32_t v : std::vector<uint32_t>(needed.begin(), needed.end())) {
        const std::optional<Expr> extent = ranges.extent(v);
        if (!extent) continue;
        for (uint32_t used : variables_of(*extent)) needed.insert(used);
      }
      for (Expr fact : facts_) need_with(fact);
      grows = needed.size() != before;
    }
    for (uint32_t v : variables) {
      if (needed.contains(v)) variables_.emplace_back(v, *ranges.extent(v));
    }
    // Other conditions have nothing to say here.
    std::erase_if(facts_, [&](Expr fact) {
      const std::vector<uint32_t> used = variables_of(fact);
      return std::any_of(used.begin(), used.end(), [&](uint32_t v) {
        return std::none_of(variables_.begin(), variables_.end(),
                            [&](const auto& known) { return known.first == v; });
      });
    });
    std::vector<Expr> all = facts_;
    all.push_back(goal_);
    for (const auto& [v, extent] : variables_) all.push_back(extent);
    for (Expr e : all) {
      for (Expr symbol : symbols_of(e)) {
        if (std::find(symbols_.begin(), symbols_.end(), symbol) == symbols_.end()) {
          symbols_.push_back(symbol);
        }
      }
    }
  }

  // Whether one of a few points, ends of the domain most of them, shows that it does not hold.
  bool refute() {
    constexpr int kPoints = 24;
    std::mt19937_64 random(1);
    for (int point = 0; point < kPoints; ++point) {
      for (Expr symbol : symbols_) {
        const std::vector<int64_t> values = symbol_samples(symbol);
        if (values.empty()) return false;
        values_[symbol.name()] = values[random() % values.size()];
      }
      if (!try_random(random)) return true;
    }
    return false;
  }

  // True: it holds at every point. False: `point` is one where it does not. Absent: it held at all
  // points that were tried.
  std::optional<bool> run(std::string& point) {
    std::mt19937_64 random(1);
    for (int round = 0; round < (symbols_.empty() ? 1 : 24); ++round) {
      for (Expr symbol : symbols_) {
        const std::vector<int64_t> values = symbol_samples(symbol);
        if (values.empty()) return true;
        values_[symbol.name()] = values[random() % values.size()];
      }
      budget_ = kMostPoints;
      if (!walk(0)) return describe(point);
      if (budget_ > 0) continue;
      for (int sample = 0; sample < kSamples; ++sample) {
        if (!try_random(random)) return describe(point);
      }
      sampled_ = true;
    }
    if (sampled_ || !symbols_.empty()) return std::nullopt;
    return true;
  }

 private:
  int64_t number(Expr e) const {
    return evaluate(e, [&](uint32_t id) { return assignment_.at(id); }, values_);
  }

  // Absent where a divisor is 0: no point of the domain.
  std::optional<int64_t> value_of(Expr e) {
    const auto [divisors, is_new] = divisors_.try_emplace(e);
    if (is_new) divisors->second = divisors_of(e);
    for (Expr divisor : divisors->second) {
      if (number(divisor) == 0) return std::nullopt;
    }
    return number(e);
  }

  bool holds_here() {
    const bool inside = std::all_of(facts_.begin(), facts_.end(),
                                    [&](Expr fact) { return value_of(fact).value_or(-1) >= 0; });
    return !inside || value_of(goal_).value_or(0) >= 0;
  }

  bool walk(size_t next) {
    if (budget_ <= 0) return true;
    if (next == variables_.size()) {
      --budget_;
      return holds_here();
    }
    const auto& [variable, extent] = variables_[next];
    const int64_t count = value_of(extent).value_or(0);
    for (int64_t i = 0; i < count && budget_ > 0; ++i) {
      assignment_[variable] = i;
      if (!walk(next + 1)) return false;
    }
    return true;
  }

  bool try_random(std::mt19937_64& random) {
    for (const auto& [variable, extent] : variables_) {
      const int64_t count = value_of(extent).value_or(0);
      if (count <= 0) return true;
      const uint64_t kind = random() % 4;
      const auto any = static_cast<int64_t>(random() % static_cast<uint64_t>(count));
      assignment_[variable] = kind == 0 ? 0 : kind == 1 ? count - 1 : any;
    }
    return holds_here();
  }

  std::optional<bool> describe(std::string& point) const {
    for (const auto& [variable, extent] : variables_) {
      point += fmt::format(" i{} = {}", variable, assignment_.at(variable));
    }
    for (const auto& [name, value] : values_) point += fmt::format(" {} = {}", name, value);
    return false;
  }

  Expr goal_;
  std::vector<Expr> facts_;
  std::vector<std::pair<uint32_t, Expr>> variables_;  // in order of definition, with extents
  std::vector<Expr> symbols_;
  std::unordered_map<uint32_t, int64_t> assignment_;
  SymbolValues values_;
  std::unordered_map<Expr, std::vector<Expr>> divisors_;  // by expression, when first evaluated
  int64_t budget_ = 0;
  bool sampled_ = false;
};

}  // namespace

// What a point must satisfy; the ranges of the variables are part of the walk.
std::vector<Expr> Facts::conditions() const {
  std::vector<Expr> result;
  for (Expr fact : facts_) {
    // A negative number: under a condition that never holds there is no point.
    const bool never = fact.constant().value_or(0) < 0;
    if (never || !variables_of(fact).empty() || !symbols_of(fact).empty()) result.push_back(fact);
  }
  return result;
}

std::optional<bool> Facts::search_nonnegative(Expr e, std::string& point) const {
  return Search(e, conditions(), variables_, ranges_, /*whole_domain=*/false).run(point);
}

bool Facts::is_refuted(Expr e) const {
  const std::vector<Expr> known = conditions();
  if (contains_element(e) || std::any_of(known.begin(), known.end(), contains_element)) {
    return false;
  }
  return Search(e, known, variables_, ranges_, /*whole_domain=*/true).refute();
}

}  // namespace plait::kernel
