#include "jit/lower/prefetch.h"

#include <algorithm>

#include "passes/fusion/roles.h"

namespace plait::lower {
namespace {

constexpr int64_t kCacheLine = 64;
constexpr int64_t kBytesAhead = 2048;

// Rows so many times longer than the distance need not lie one after the other.
constexpr double kLongRow = 8;

}  // namespace

void prefetch_lines(Values& values, BufferId buffer, Expr first, int64_t elements) {
  kernel::Builder& builder = values.builder();
  const auto size = static_cast<int64_t>(dtype_size(builder.kernel().buffers[buffer].dtype));
  for (int64_t line = 0; line < elements * size; line += kCacheLine) {
    builder.prefetch(buffer, values.simplified(first + line / size));
  }
}

void Prefetcher::set_loops(const std::vector<Expr>& variables) {
  loops_.clear();
  for (Expr variable : variables) {
    if (variable.kind() == ExprKind::variable) loops_.push_back(variable.id());
  }
}

void Prefetcher::note(const Values::MemoryAccess& access, Expr at) {
  const Expr start = values_.simplified(access.index - at);
  const std::vector<uint32_t> variables = variables_of(start);
  const bool consecutive = std::all_of(variables.begin(), variables.end(), [&](uint32_t v) {
    return std::find(loops_.begin(), loops_.end(), v) != loops_.end();
  });
  const bool known = std::any_of(accesses_.begin(), accesses_.end(), [&](const auto& other) {
    return other.buffer == access.buffer && other.index == start;
  });
  if (consecutive && !known) accesses_.push_back({access.buffer, start});
}

bool Prefetcher::depends_on_row(Expr e) const {
  const std::vector<uint32_t> variables = variables_of(e);
  return !loops_.empty() &&
         std::find(variables.begin(), variables.end(), loops_.back()) != variables.end();
}

Expr Prefetcher::in_next_row(Expr e) const {
  return substitute(e, {{loops_.back(), Expr::variable(loops_.back()) + 1}});
}

void Prefetcher::next_row(Expr first, int64_t elements) const {
  for (const auto& [buffer, start] : accesses_) {
    if (!depends_on_row(start)) continue;
    prefetch_lines(values_, buffer, in_next_row(start) + first, elements);
  }
}

void Prefetcher::ahead(Expr first, int64_t elements, Expr length) const {
  for (const auto& [buffer, start] : accesses_) {
    const DType dtype = values_.builder().kernel().buffers[buffer].dtype;
    const int64_t distance = kBytesAhead / static_cast<int64_t>(dtype_size(dtype));
    const bool is_long =
        fusion::estimated_elements({length}) >= kLongRow * static_cast<double>(distance);
    if (!is_long && !depends_on_row(start)) continue;
    if (!is_long && values_.simplified(in_next_row(start) - start) != length) continue;
    prefetch_lines(values_, buffer, start + first + distance, elements);
  }
}

}  // namespace plait::lower
