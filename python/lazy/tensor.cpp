#include "python/lazy/tensor.h"

#include <algorithm>

#include "core/error.h"
#include "core/index/simplify.h"
#include "python/lazy/capture.h"
#include "python/lazy/evaluate.h"
#include "python/lazy/region.h"

namespace plait::lazy {
namespace {

// Ops whose results share the memory of their first argument, as in PyTorch.
bool makes_views(const Op& op) {
  static const std::vector<bool> flags = [] {
    constexpr std::string_view kNames[] = {
        "reshape", "view",   "flatten",      "unflatten", "permute",   "transpose",
        "movedim", "expand", "broadcast_to", "squeeze",   "unsqueeze", "slice",
        "narrow",  "select", "split",        "chunk",     "unbind",    "detach"};
    std::vector<bool> result;
    for (const Op& each : ops()) {
      result.push_back(std::find(std::begin(kNames), std::end(kNames), each.record->name()) !=
                       std::end(kNames));
    }
    return result;
  }();
  return flags[op.number];
}

std::vector<const View*> chain_of(const View* view) {
  std::vector<const View*> chain;
  for (; view; view = view->under.get()) chain.push_back(view);
  std::reverse(chain.begin(), chain.end());
  return chain;
}

// Where each element of a view lies in its cell: per axis of the cell an expression over the view's
// axes.
struct ViewMap {
  std::vector<Expr> map;
  bool shared = false;  // several elements of the view are one of the cell
};

// From the indices of a node's result to those of its operand.
void step_down(const Graph& graph, const plait::Node& node, ViewMap& at) {
  const Shape& shape = graph.type(node.operands[0]).shape;
  std::vector<Expr> under(shape.size());
  if (node.op == MetaOp::detach) return;
  if (node.op == MetaOp::reindex) {
    Substitution indices;
    for (size_t k = 0; k < at.map.size(); ++k) indices[static_cast<uint32_t>(k)] = at.map[k];
    for (size_t k = 0; k < under.size(); ++k) {
      under[k] = substitute(node.attributes.map[k], indices);
    }
  } else {
    PLAIT_INTERNAL_CHECK(node.op == MetaOp::broadcast, "a view made of {}", name_of(node.op));
    std::vector<bool> kept(node.type.rank(), false);
    for (size_t k = 0; k < under.size(); ++k) {
      const auto axis = static_cast<size_t>(node.attributes.axes[k]);
      kept[axis] = shape[k] == node.type.shape[axis];
      under[k] = kept[axis] ? at.map[axis] : Expr(0);
    }
    for (size_t axis = 0; axis < kept.size(); ++axis) {
      at.shared |= !kept[axis] && !node.type.shape[axis].is_constant(1);
    }
  }
  at.map = std::move(under);
}

ViewMap map_of(const View& view, const Type& cell_type) {
  reset_current_graph();
  Tensor tensor = input("cell", cell_type.dtype, cell_type.shape);
  for (const View* step : chain_of(&view)) {
    Call call{};
    call.arguments = step->arguments;
    tensor = step->op->record->composition(to_arguments(call, {tensor}))[step->index];
  }
  ViewMap result;
  Ranges ranges;
  for (uint32_t k = 0; k < tensor.type().rank(); ++k) {
    result.map.push_back(Expr::variable(k));
    ranges.set(k, tensor.shape()[k]);
  }
  const Graph& graph = *tensor.graph();
  for (plait::Value v = tensor.value(); graph.node(v).op != MetaOp::input;) {
    step_down(graph, graph.node(v), result);
    v = graph.node(v).operands[0];
  }
  for (Expr& e : result.map) e = simplify(e, ranges);
  return result;
}

}  // namespace

View::~View() {
  std::shared_ptr<const View> next = std::move(under);
  while (next && next.use_count() == 1) {
    std::shared_ptr<const View> deeper = std::move(const_cast<View&>(*next).under);
    next = std::move(deeper);
  }
}

LazyTensor::LazyTensor(std::shared_ptr<Cell> cell, std::shared_ptr<const View> view, Ref base,
                       Ref value)
    : cell_(std::move(cell)),
      view_(std::move(view)),
      base_(std::move(base)),
      seen_(std::move(value)) {}

Ref LazyTensor::value() const {
  Ref base = cell_->value();
  if (!view_) return base;
  if (base == base_) return seen_;
  Ref value = base;
  for (const View* view : chain_of(view_.get())) {
    value = make_call(*view->op, view->arguments, {value})[view->index];
  }
  base_ = std::move(base);
  seen_ = std::move(value);
  return seen_;
}

const Type& LazyTensor::type() const {
  if (!view_) return cell_->slot() ? cell_->slot()->type() : value().node->types[value().index];
  return seen_.type();
}

void LazyTensor::check_writable() const {
  const bool leaf = cell_->requires_grad() && cell_->is_leaf();
  PLAIT_CHECK(!leaf || !grad_enabled(), "write",
              "a tensor that requires gradients is not changed in place; got {}. hint: do it under "
              "plait.no_grad()",
              to_string(type()));
}

void LazyTensor::write(const Ref& value) {
  check_writable();
  PLAIT_INTERNAL_CHECK(value.type() == type(), "{} written to {}", to_string(value.type()),
                       to_string(type()));
  Ref whole = value;
  if (view_ && write_part(value)) return;
  if (view_) {
    const Ref base = cell_->value();
    ViewMap at = map_of(*view_, base.type());
    PLAIT_CHECK(!at.shared, "write",
                "several elements of this view are one in memory, so it is not changed in place; "
                "got {} of {}. hint: change a copy: clone()",
                to_string(type()), to_string(base.type()));
    auto node = std::make_shared<Node>(Kind::write);
    node->set_types({base.type()});
    for (const Ref& operand : {base, value}) {
      node->requires_grad |= operand.node->requires_grad && grad_enabled();
      if (!operand.node->computed(operand.index)) {
        node->depth = std::max(node->depth, operand.node->depth + 1);
      }
    }
    node->operands = {base, value};
    node->map = std::move(at.map);
    whole = {std::move(node), 0};
  }
  if (cell_->slot() && !Capture::current()) {
    cell_->slot()->set(array_of(whole));
    return;
  }
  cell_->set_value(std::move(whole));
}

// Copies the value into the part of memory that the view is, where no gradients are asked through
// it: into the cell's own, if nobody else has it.
bool LazyTensor::write_part(const Ref& value) {
  if (Capture::current()) return false;
  Ref base = cell_->value();
  const bool history = grad_enabled() && (base.node->requires_grad || value.node->requires_grad);
  if (history) return false;
  const std::optional<Region> region = region_of(*view_, base.type());
  if (!region) return false;
  // Other threads may write to the cell while this one waits.
  for (evaluate({base, value}); !(base == cell_->value()); evaluate({base})) {
    base = cell_->value();
  }
  const Array part = array_of(value);
  Array& known = base.node->arrays[base.index];
  if (cell_->slot()) {
    Array whole = known.clone();
    region->write(whole, part);
    cell_->slot()->set(std::move(whole));
    return true;
  }
  base_ = {};
  seen_ = value;
  // The cell and this function hold the node.
  const bool own = base.node->kind == Kind::array && base.node.use_count() == 2 &&
                   known.buffer.use_count() == 1 && known.buffer->is_owned();
  Array whole = own ? std::move(known) : known.clone();
  region->write(whole, part);
  Ref next = array_node(std::move(whole));
  cell_->set_value(next);
  if (cell_->value() == next) base_ = std::move(next);
  return true;
}

std::vector<LazyTensor> call_on_tensors(const Op& op, std::vector<CallArgument> arguments,
                                        const std::vector<LazyTensor>& operands) {
  std::vector<Ref> refs;
  for (const LazyTensor& operand : operands) refs.push_back(operand.value());
  std::vector<CallArgument> kept;
  const bool views = makes_views(op);
  if (views) kept = arguments;
  const std::vector<Ref> results = make_call(op, std::move(arguments), std::move(refs));
  std::vector<LazyTensor> tensors;
  for (uint32_t i = 0; i < results.size(); ++i) {
    if (!views) {
      tensors.emplace_back(results[i]);
      continue;
    }
    const LazyTensor& under = operands[0];
    const size_t length = under.view() ? under.view()->length + 1 : 1;
    auto view = std::make_shared<const View>(View{under.view(), &op, kept, i, length});
    tensors.emplace_back(under.cell(), std::move(view), under.cell()->value(), results[i]);
  }
  return tensors;
}

}  // namespace plait::lazy
