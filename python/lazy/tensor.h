// Python's tensor: a cell, and the views through which it is seen.
//
// A view reads its cell's present value through the ops that made it, and an in-place op on a view
// gives the cell a new value by a scatter through the map that those ops amount to.
#pragma once

#include <memory>
#include <optional>

#include "python/lazy/call.h"

namespace plait::lazy {

// One op that only moves elements: operand 0 is the tensor under it.
struct View {
  ~View();  // a long chain is taken apart without nesting

  std::shared_ptr<const View> under;  // null: the cell
  const Op* op;
  std::vector<CallArgument> arguments;
  uint32_t index;  // of the result
  size_t length;   // views from here down to the cell
};

class LazyTensor {
 public:
  explicit LazyTensor(Ref value) : cell_(std::make_shared<Cell>(std::move(value))) {}
  explicit LazyTensor(std::shared_ptr<Cell> cell) : cell_(std::move(cell)) {}
  LazyTensor(std::shared_ptr<Cell> cell, std::shared_ptr<const View> view, Ref base, Ref value);

  const std::shared_ptr<Cell>& cell() const { return cell_; }
  bool is_view() const { return view_ != nullptr; }
  const std::shared_ptr<const View>& view() const { return view_; }

  Ref value() const;
  const Type& type() const;

  // The elements become those of `value`, of this tensor's dtype and shape. UserError where
  // elements share memory, or for a tensor that gradients are asked of, unless under no_grad.
  void write(const Ref& value);

 private:
  void check_writable() const;
  bool write_part(const Ref& value);

  std::shared_ptr<Cell> cell_;
  std::shared_ptr<const View> view_;
  // What a view gave last, and the cell's value then.
  mutable Ref base_, seen_;
};

// Calls an op; where it only moves elements of its first argument the results are views of it.
std::vector<LazyTensor> call_on_tensors(const Op& op, std::vector<CallArgument> arguments,
                                        const std::vector<LazyTensor>& operands);

}  // namespace plait::lazy
