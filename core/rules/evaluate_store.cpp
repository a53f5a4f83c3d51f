// The nodes that fill an array of their own: everything that is not pulled by its reader.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "core/error.h"
#include "core/random.h"
#include "core/rules/accumulator.h"
#include "core/rules/evaluator.h"

namespace plait {
namespace {

// Calls f for every index of `shape` in row-major order. `index` holds it at positions `axes`;
// other entries are left alone.
template <class Function>
void for_each_index(const std::vector<int64_t>& shape, const std::vector<int64_t>& axes,
                    std::vector<int64_t>& index, Function&& f) {
  for (int64_t axis : axes) {
    if (shape[axis] == 0) return;
    index[axis] = 0;
  }
  while (true) {
    f();
    size_t k = axes.size();
    while (k > 0 && ++index[axes[k - 1]] == shape[axes[k - 1]]) index[axes[--k]] = 0;
    if (k == 0) return;
  }
}

std::vector<int64_t> all_axes(size_t rank) {
  std::vector<int64_t> axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

std::vector<int64_t> other_axes(size_t rank, const std::vector<int64_t>& without) {
  std::vector<int64_t> axes;
  for (int64_t axis : all_axes(rank)) {
    if (std::ranges::find(without, axis) == without.end()) axes.push_back(axis);
  }
  return axes;
}

int64_t position_of(const std::vector<int64_t>& shape, const std::vector<int64_t>& index) {
  int64_t position = 0;
  for (size_t i = 0; i < shape.size(); ++i) position = position * shape[i] + index[i];
  return position;
}

// Ascending or descending with NaN last.
bool sorts_before(DType dtype, bool descending, Number a, Number b) {
  if (is_float(dtype)) {
    if (std::isnan(a.f) || std::isnan(b.f)) return !std::isnan(a.f) && std::isnan(b.f);
    return descending ? a.f > b.f : a.f < b.f;
  }
  return apply(BinaryOp::lt, dtype, descending ? b : a, descending ? a : b).i != 0;
}

}  // namespace

Array& Evaluator::allocate(Value v) {
  entries_[v].array = Array::empty(graph_.type(v).dtype, entries_[v].shape);
  return entries_[v].array;
}

void Evaluator::store_elementwise(Value v) {
  const std::vector<int64_t>& shape = entries_[v].shape;
  // `compute` is asked for this node's elements while its array is being filled, never `element`.
  Array array = Array::empty(graph_.type(v).dtype, shape);
  std::vector<int64_t> index(shape.size());
  int64_t position = 0;
  for_each_index(shape, all_axes(shape.size()), index, [&] {
    store_number(array.dtype, array.data<std::byte>(), position++, compute(v, index.data()));
  });
  entries_[v].array = std::move(array);
}

void Evaluator::store_random(Value v) {
  const Node& node = graph_.node(v);
  const int64_t at[] = {0, 1};
  const int64_t seed = element(node.operands[0], &at[0]).i;
  const int64_t step = element(node.operands[0], &at[1]).i;
  Array& array = allocate(v);
  for (int64_t i = 0, n = array.count(); i < n; ++i) {
    array.data<uint32_t>()[i] =
        random::element_bits(static_cast<uint64_t>(i), seed, step, node.attributes.salt);
  }
}

void Evaluator::store_reduce(Value v) {
  const Node& node = graph_.node(v);
  const Value x = node.operands[0];
  const std::vector<int64_t>& shape = entries_[x].shape;
  const DType dtype = graph_.type(x).dtype;
  const ReduceOp op = node.reduce();
  Array& array = allocate(v);
  if (array.count() > 0 && op != ReduceOp::sum && op != ReduceOp::prod && op != ReduceOp::any &&
      op != ReduceOp::all) {
    for (int64_t axis : node.attributes.axes) {
      PLAIT_CHECK(shape[axis] > 0, origin_name(v),
                  "an empty axis has no {}; got {}; axis {} has size 0", name_of(op),
                  to_string(graph_.type(x)), axis);
    }
  }
  std::vector<int64_t> index(shape.size());
  int64_t position = 0;
  for_each_index(shape, other_axes(shape.size(), node.attributes.axes), index, [&] {
    Accumulator accumulator(op, dtype);
    for_each_index(shape, node.attributes.axes, index,
                   [&] { accumulator.add(element(x, index.data())); });
    store_number(array.dtype, array.data<std::byte>(), position++, accumulator.result());
  });
}

void Evaluator::store_scatter(Value v) {
  const Node& node = graph_.node(v);
  const Value destination = node.operands[0];
  const Value updates = node.operands[1];
  const DType dtype = node.type.dtype;
  const std::vector<int64_t>& shape = entries_[v].shape;
  Array& array = allocate(v);
  auto* data = array.data<std::byte>();
  std::vector<int64_t> index(shape.size());
  int64_t position = 0;
  for_each_index(shape, all_axes(shape.size()), index, [&] {
    store_number(dtype, data, position++, element(destination, index.data()));
  });

  // One accumulator per destination element that is touched; each is independent of the others.
  std::unordered_map<int64_t, Accumulator> touched;
  const std::vector<int64_t>& update_shape = entries_[updates].shape;
  std::vector<int64_t> at(update_shape.size());
  for_each_index(update_shape, all_axes(update_shape.size()), at, [&] {
    if (!map_index(v, at.data(), 2)) return;
    const int64_t target = position_of(shape, entries_[v].index);
    const Number update = element(updates, at.data());
    if (node.attributes.replace) return store_number(dtype, data, target, update);
    auto found = touched.find(target);
    if (found == touched.end()) {
      found = touched.emplace(target, Accumulator(node.reduce(), dtype)).first;
      found->second.add(load_number(dtype, data, target));
    }
    found->second.add(update);
  });
  for (const auto& [target, accumulator] : touched) {
    store_number(dtype, data, target, accumulator.result());
  }
}

void Evaluator::store_concat(Value v) {
  const Node& node = graph_.node(v);
  const int64_t axis = node.attributes.axes[0];
  const std::vector<int64_t>& shape = entries_[v].shape;
  Array& array = allocate(v);
  int64_t offset = 0;
  for (Value part : node.operands) {
    const std::vector<int64_t>& part_shape = entries_[part].shape;
    std::vector<int64_t> index(part_shape.size());
    for_each_index(part_shape, all_axes(part_shape.size()), index, [&] {
      std::vector<int64_t> target = index;
      target[axis] += offset;
      store_number(array.dtype, array.data<std::byte>(), position_of(shape, target),
                   element(part, index.data()));
    });
    offset += part_shape[axis];
  }
}

void Evaluator::store_scan(Value v) {
  const Node& node = graph_.node(v);
  const int64_t axis = node.attributes.axes[0];
  const std::vector<int64_t>& shape = entries_[v].shape;
  Array& array = allocate(v);
  std::vector<int64_t> index(shape.size());
  for_each_index(shape, other_axes(shape.size(), {axis}), index, [&] {
    Accumulator accumulator(node.reduce(), array.dtype);
    for (int64_t k = 0; k < shape[axis]; ++k) {
      index[axis] = node.attributes.reverse ? shape[axis] - 1 - k : k;
      accumulator.add(element(node.operands[0], index.data()));
      store_number(array.dtype, array.data<std::byte>(), position_of(shape, index),
                   accumulator.result());
    }
  });
}

void Evaluator::store_sort(Value v) {
  const Node& node = graph_.node(v);
  const int64_t axis = node.attributes.axes[0];
  const std::vector<int64_t>& shape = entries_[v].shape;
  const DType dtype = graph_.type(node.operands[0]).dtype;
  Array& array = allocate(v);
  std::vector<int64_t> index(shape.size());
  for_each_index(shape, other_axes(shape.size(), {axis}), index, [&] {
    std::vector<Number> line;
    for (index[axis] = 0; index[axis] < shape[axis]; ++index[axis]) {
      line.push_back(element(node.operands[0], index.data()));
    }
    std::vector<int64_t> order = all_axes(line.size());
    std::ranges::stable_sort(order, [&](int64_t a, int64_t b) {
      return sorts_before(dtype, node.attributes.reverse, line[a], line[b]);
    });
    for (index[axis] = 0; index[axis] < shape[axis]; ++index[axis]) {
      array.data<int64_t>()[position_of(shape, index)] = order[index[axis]];
    }
  });
}

}  // namespace plait
