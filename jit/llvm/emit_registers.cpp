// Register buffers: lists of SIMD values ("rows" of `lanes` elements), merged where control flow
// joins.
#include <llvm/IR/Constants.h>

#include <algorithm>
#include <numeric>

#include "jit/llvm/emitter.h"

namespace plait::native {

namespace {

int64_t element_count(const Buffer& buffer) {
  auto size = buffer.size.constant();
  PLAIT_INTERNAL_CHECK(size, "register buffer {} has no constant size", buffer.name);
  return *size;
}

}  // namespace

// Their contents are undefined when an iteration of the phase starts.
void Emitter::reset_registers() {
  for (BufferId id = 0; id < kernel_.buffers.size(); ++id) {
    const Buffer& buffer = kernel_.buffers[id];
    if (buffer.scope != BufferScope::registers) continue;
    llvm::Type* row = value_type(buffer.dtype);
    int64_t lanes = row_lanes(id);
    if (lanes > 1) row = llvm::FixedVectorType::get(row, static_cast<unsigned>(lanes));
    size_t rows = (element_count(buffer) + lanes - 1) / lanes;
    registers_[id].assign(rows, llvm::PoisonValue::get(row));
  }
}

// The element that the first lane of the chunk, or a scalar access, touches.
int64_t Emitter::register_offset(Expr offset) const {
  std::optional<int64_t> first = offset.constant();
  if (is_varying(offset)) {
    auto linear = linear_in(offset, lane_variable_);
    first.reset();
    if (linear && linear->coefficient.is_constant(1)) first = linear->rest.constant();
    if (first) *first += chunk_ * width_;
  }
  PLAIT_INTERNAL_CHECK(first, "{}: register index {}", kernel_.name, to_string(offset));
  return *first;
}

llvm::Value* Emitter::load_registers(BufferId id, Expr offset) {
  int64_t first = register_offset(offset);
  if (is_varying(offset)) return register_slice(id, first, width_);
  int64_t lanes = row_lanes(id);
  llvm::Value* row = registers_[id][first / lanes];
  return lanes == 1 ? row : b_.CreateExtractElement(row, static_cast<uint64_t>(first % lanes));
}

void Emitter::store_registers(BufferId id, Expr offset, llvm::Value* value) {
  int64_t first = register_offset(offset);
  int64_t lanes = row_lanes(id);
  if (is_varying(offset)) {
    if (mask()) value = b_.CreateSelect(mask(), value, register_slice(id, first, width_));
    set_register_slice(id, first, value);
    return;
  }
  llvm::Value*& row = registers_[id][first / lanes];
  row =
      lanes == 1 ? value : b_.CreateInsertElement(row, value, static_cast<uint64_t>(first % lanes));
}

llvm::Value* Emitter::concatenate(std::vector<llvm::Value*> parts) {
  // Neighbours in pairs, all of one width at each level; a shorter last part is padded.
  while (parts.size() > 1) {
    auto lanes = [](llvm::Value* v) {
      return llvm::cast<llvm::FixedVectorType>(v->getType())->getNumElements();
    };
    std::vector<llvm::Value*> pairs;
    for (size_t i = 0; i < parts.size(); i += 2) {
      llvm::Value* a = parts[i];
      llvm::Value* b = i + 1 < parts.size() ? parts[i + 1] : llvm::PoisonValue::get(a->getType());
      std::vector<int> order(2 * lanes(a));
      std::iota(order.begin(), order.end(), 0);
      pairs.push_back(b_.CreateShuffleVector(a, b, order));
    }
    parts = std::move(pairs);
  }
  return parts[0];
}

// `count` elements from `first` on, as one vector.
llvm::Value* Emitter::register_slice(BufferId id, int64_t first, int64_t count) {
  int64_t lanes = row_lanes(id);
  const std::vector<llvm::Value*>& rows = registers_[id];
  if (lanes == 1) {
    llvm::Value* vector = llvm::PoisonValue::get(
        llvm::FixedVectorType::get(rows[first]->getType(), static_cast<unsigned>(count)));
    for (int64_t i = 0; i < count; ++i)
      vector = b_.CreateInsertElement(vector, rows[first + i], static_cast<uint64_t>(i));
    return vector;
  }
  int64_t first_row = first / lanes, last_row = (first + count - 1) / lanes;
  if (first_row == last_row && count == lanes) return rows[first_row];
  llvm::Value* all = concatenate({rows.begin() + first_row, rows.begin() + last_row + 1});
  std::vector<int> order(count);
  std::iota(order.begin(), order.end(), static_cast<int>(first - first_row * lanes));
  return b_.CreateShuffleVector(all, order);
}

void Emitter::set_register_slice(BufferId id, int64_t first, llvm::Value* value) {
  int64_t lanes = row_lanes(id);
  int64_t count = width_;
  std::vector<llvm::Value*>& rows = registers_[id];
  if (lanes == 1) {
    for (int64_t i = 0; i < count; ++i)
      rows[first + i] = b_.CreateExtractElement(value, static_cast<uint64_t>(i));
    return;
  }
  for (int64_t row = first / lanes; row * lanes < first + count; ++row) {
    int64_t begin = std::max(first, row * lanes), end = std::min(first + count, (row + 1) * lanes);
    if (end - begin == lanes && count == lanes) {
      rows[row] = value;
      continue;
    }
    // Lane j of the row takes its element of `value`, brought to the row's width, or stays.
    std::vector<int> widen(lanes, -1), blend(lanes);
    for (int64_t j = 0; j < lanes; ++j) {
      int64_t element = row * lanes + j;
      bool inside = begin <= element && element < end;
      if (inside) widen[j] = static_cast<int>(element - first);
      blend[j] = static_cast<int>(inside ? lanes + j : j);
    }
    llvm::Value* piece = b_.CreateShuffleVector(value, widen);
    rows[row] = end - begin == lanes ? piece : b_.CreateShuffleVector(rows[row], piece, blend);
  }
}

// n rows of n lanes change places in log2(n) stages: at distance d, row i and row i + d exchange
// the lanes in which bit d differs from their own.
void Emitter::transpose(BufferId id) {
  int64_t n = kernel_.buffers[id].lanes;
  std::vector<llvm::Value*>& rows = registers_[id];
  PLAIT_INTERNAL_CHECK(static_cast<int64_t>(rows.size()) == n && (n & (n - 1)) == 0,
                       "{}: transpose of {} rows of {} lanes", kernel_.name, rows.size(), n);
  for (int64_t distance = 1; distance < n; distance *= 2)
    for (int64_t i = 0; i < n; ++i) {
      if (i & distance) continue;
      std::vector<int> low(n), high(n);
      for (int64_t j = 0; j < n; ++j) {
        bool odd = j & distance;
        low[j] = static_cast<int>(odd ? n + j - distance : j);
        high[j] = static_cast<int>(odd ? n + j : j + distance);
      }
      llvm::Value *a = rows[i], *b = rows[i + distance];
      rows[i] = b_.CreateShuffleVector(a, b, low);
      rows[i + distance] = b_.CreateShuffleVector(a, b, high);
    }
}

Emitter::Rows Emitter::stored_registers(const Block& body) const {
  std::vector<bool> stored(kernel_.buffers.size());
  kernel::for_each_instruction(body, [&](const Instruction& in) {
    if (in.op == Op::store || in.op == Op::transpose) stored[in.buffer] = true;
  });
  Rows rows;
  for (BufferId id = 0; id < stored.size(); ++id)
    if (stored[id] && kernel_.buffers[id].scope == BufferScope::registers)
      rows.emplace_back(id, registers_[id]);
  return rows;
}

Emitter::Rows Emitter::current_rows(const Rows& like) const {
  Rows rows;
  for (const auto& [id, old] : like) rows.emplace_back(id, registers_[id]);
  return rows;
}

void Emitter::put_rows(const Rows& rows) {
  for (const auto& [id, values] : rows) registers_[id] = values;
}

// Phis at the insertion point, which must be the start of a block.
Emitter::Rows Emitter::merge_rows(const Rows& a, llvm::BasicBlock* from_a, const Rows& b,
                                  llvm::BasicBlock* from_b) {
  Rows merged = a;
  for (size_t i = 0; i < merged.size(); ++i)
    for (size_t row = 0; row < merged[i].second.size(); ++row) {
      llvm::Value *x = a[i].second[row], *y = b[i].second[row];
      if (x == y) continue;
      llvm::PHINode* phi = b_.CreatePHI(x->getType(), 2);
      phi->addIncoming(x, from_a);
      phi->addIncoming(y, from_b);
      merged[i].second[row] = phi;
    }
  return merged;
}

}  // namespace plait::native
