#include "python/lazy/region.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace plait::lazy {
namespace {

// Larger parts are read where they lie, by programs.
constexpr size_t kMostBytes = size_t{256} << 20;

std::optional<int64_t> number(const CallArgument& argument) {
  if (const int64_t* value = std::get_if<int64_t>(&argument)) return *value;
  if (const Expr* e = std::get_if<Expr>(&argument)) return e->constant();
  return std::nullopt;
}

std::optional<std::vector<int64_t>> numbers(const Shape& shape) {
  std::vector<int64_t> result;
  for (Expr e : shape) {
    if (!e.constant()) return std::nullopt;
    result.push_back(*e.constant());
  }
  return result;
}

}  // namespace

Region::Region(std::vector<int64_t> shape) {
  for (int64_t size : shape) axes_.push_back({size, 0, 1, size, true});
}

Region::Axis* Region::kept_axis(int64_t dim) {
  const int64_t rank =
      std::count_if(axes_.begin(), axes_.end(), [](const Axis& axis) { return axis.kept; });
  if (dim < 0) dim += rank;
  for (Axis& axis : axes_) {
    if (axis.kept && dim-- == 0) return &axis;
  }
  return nullptr;
}

bool Region::narrow_by(const OpRecord& op, const std::vector<CallArgument>& arguments) {
  const std::string_view name = op.name();
  const bool selects = name == "select", narrows = name == "narrow", slices = name == "slice";
  if (!selects && !narrows && !slices) return false;
  Axis* axis = kept_axis(number(arguments[1]).value_or(-100));
  if (!axis) return false;
  const auto given = [&](size_t i) {
    return !std::holds_alternative<std::monostate>(arguments[i]);
  };
  if ((given(2) && !number(arguments[2])) || (!selects && given(3) && !number(arguments[3]))) {
    return false;
  }
  const int64_t count = axis->count;
  const auto from_front = [&](int64_t at) { return at < 0 ? at + count : at; };
  int64_t first = given(2) ? from_front(*number(arguments[2])) : 0, last = first + 1, step = 1;
  if (narrows) last = first + *number(arguments[3]);
  if (slices) {
    last = given(3) ? from_front(*number(arguments[3])) : count;
    step = *number(arguments[4]);
    first = std::clamp<int64_t>(first, 0, count);
    last = std::clamp(last, first, count);
  }
  axis->start += first * axis->step;
  axis->step *= step;
  axis->count = (last - first + step - 1) / step;
  axis->kept = !selects;
  return true;
}

// Calls f(offset in the whole, offset in the part, bytes) for each run of neighbours.
template <class F>
void Region::for_each_run(size_t element_size, const F& f) const {
  auto run = static_cast<int64_t>(element_size);
  size_t outer = axes_.size();
  bool whole = true;  // of the axes behind
  while (outer > 0 && whole && axes_[outer - 1].step == 1) {
    const Axis& axis = axes_[--outer];
    run *= axis.count;
    whole = axis.count == axis.size;
  }
  std::vector<int64_t> stride(axes_.size());
  auto bytes = static_cast<int64_t>(element_size);
  for (size_t k = axes_.size(); k-- > 0;) {
    stride[k] = bytes;
    bytes *= axes_[k].size;
  }
  int64_t base = 0, runs = 1;
  for (size_t k = 0; k < axes_.size(); ++k) base += axes_[k].start * stride[k];
  for (size_t k = 0; k < outer; ++k) runs *= axes_[k].count;
  if (run == 0) return;
  std::vector<int64_t> at(outer, 0);
  for (int64_t i = 0; i < runs; ++i) {
    int64_t offset = base;
    for (size_t k = 0; k < outer; ++k) offset += at[k] * axes_[k].step * stride[k];
    f(offset, i * run, run);
    for (size_t k = outer; k-- > 0 && ++at[k] == axes_[k].count;) at[k] = 0;
  }
}

Array Region::read(const Array& whole) const {
  std::vector<int64_t> shape;
  for (const Axis& axis : axes_) {
    if (axis.kept) shape.push_back(axis.count);
  }
  Array part = Array::empty(whole.dtype, std::move(shape));
  const std::byte* from = whole.data<std::byte>();
  std::byte* to = part.data<std::byte>();
  for_each_run(dtype_size(whole.dtype), [&](int64_t in_whole, int64_t in_part, int64_t bytes) {
    std::memcpy(to + in_part, from + in_whole, static_cast<size_t>(bytes));
  });
  return part;
}

void Region::write(Array& whole, const Array& part) const {
  std::byte* to = whole.data<std::byte>();
  const std::byte* from = part.data<std::byte>();
  for_each_run(dtype_size(whole.dtype), [&](int64_t in_whole, int64_t in_part, int64_t bytes) {
    std::memcpy(to + in_whole, from + in_part, static_cast<size_t>(bytes));
  });
}

bool take_part(const NodePtr& node) {
  std::vector<const Node*> chain;
  const Node* at = node.get();
  while (at->kind == Kind::call && !at->computed(0) && at->operands.size() == 1) {
    chain.push_back(at);
    const Ref& under = at->operands[0];
    at = under.node.get();
    if (!at->computed(under.index)) continue;
    const Array& whole = at->arrays[under.index];
    const auto shape = numbers(node->types[0].shape);
    if (!shape) return false;
    size_t bytes = dtype_size(whole.dtype);
    for (int64_t size : *shape) bytes *= static_cast<size_t>(size);
    if (bytes > kMostBytes) return false;
    Region region(whole.shape);
    for (size_t i = chain.size(); i-- > 0;) {
      const Call& call = *chain[i]->call;
      if (!region.narrow_by(*call.record, call.arguments)) return false;
    }
    node->arrays[0] = region.read(whole);
    PLAIT_INTERNAL_CHECK(node->arrays[0].shape == *shape, "a part of another shape");
    node->depth = 0;
    if (!node->requires_grad) node->operands.clear();
    return true;
  }
  return false;
}

std::optional<Region> region_of(const View& view, const Type& cell) {
  const auto shape = numbers(cell.shape);
  if (!shape) return std::nullopt;
  std::vector<const View*> chain;
  for (const View* step = &view; step; step = step->under.get()) chain.push_back(step);
  Region region(*shape);
  for (size_t i = chain.size(); i-- > 0;) {
    if (!region.narrow_by(*chain[i]->op->record, chain[i]->arguments)) return std::nullopt;
  }
  return region;
}

}  // namespace plait::lazy
