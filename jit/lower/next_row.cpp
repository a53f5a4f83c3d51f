#include "jit/lower/next_row.h"

#include <algorithm>

namespace plait::lower {
namespace {

constexpr int64_t kCacheLine = 64;

}  // namespace

void NextRow::note(size_t reads_before, Expr inner_index) {
  if (row_.kind() != ExprKind::variable) return;
  for (size_t i = reads_before; i < values_.memory_reads().size(); ++i) {
    const Values::MemoryRead read = values_.memory_reads()[i];
    const Expr start = values_.simplified(read.index - inner_index);
    if (variables_of(start) != std::vector<uint32_t>{row_.id()}) continue;
    const Expr next = substitute(start, {{row_.id(), row_ + 1}});
    const bool known = std::any_of(reads_.begin(), reads_.end(), [&](const auto& other) {
      return other.buffer == read.buffer && other.index == next;
    });
    if (!known) reads_.push_back({read.buffer, next});
  }
}

void NextRow::prefetch(Expr first, int64_t elements) const {
  kernel::Builder& builder = values_.builder();
  for (const Values::MemoryRead& read : reads_) {
    const auto size = static_cast<int64_t>(dtype_size(builder.kernel().buffers[read.buffer].dtype));
    for (int64_t line = 0; line < elements * size; line += kCacheLine) {
      builder.prefetch(read.buffer, values_.simplified(read.index + first + line / size));
    }
  }
}

}  // namespace plait::lower
