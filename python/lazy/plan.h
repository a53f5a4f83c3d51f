// Which nodes must run for some results, in what order, and what they read: the structure that
// programs are kept by.
#pragma once

#include <map>
#include <unordered_map>

#include "python/lazy/node.h"

namespace plait::lazy {

class Plan {
 public:
  // What `targets` need. Memory and values that are known already are inputs, unless gradients pass
  // through them. Also gives the results that cells hold and that are computed on the way
  // (`keep_held`), so that nothing is computed twice.
  // Where it does that, what is a part of memory is copied at once: an input too.
  // With `slots` the values that slots still have are read from the slots, not brought as inputs.
  Plan(std::vector<Ref> targets, bool keep_held, bool slots);

  struct Number {  // a floating number that a call has as its argument
    size_t node, argument;
    double value;
  };

  const std::vector<NodePtr>& nodes() const { return nodes_; }  // to emit, in order
  const std::vector<Ref>& inputs() const { return inputs_; }    // in order of first use
  const std::vector<Number>& numbers() const { return numbers_; }
  const std::vector<Ref>& outputs() const { return outputs_; }  // the targets first
  const std::vector<NodePtr>& draws() const { return draws_; }  // nodes whose key is an input
  bool emits(const Node& node) const { return ordinal_.contains(&node); }
  bool emits(const Ref& ref) const { return emits(*ref.node); }
  size_t input_number(const Ref& ref) const {
    return input_number_.at({ref.node.get(), ref.index});
  }
  // Whether gradients stop at the node's results though its operands have some.
  bool blocks_gradients(const Node& node) const;
  bool reads_slot(size_t input) const { return slot_[input] != nullptr; }
  bool reads_slot(const Ref& ref) const { return !emits(ref) && reads_slot(input_number(ref)); }

  Hash structure() const { return structure_; }

 private:
  void collect(const std::vector<Ref>& targets, bool now);
  void collect_inputs(const std::vector<Ref>& targets);
  void collect_outputs(std::vector<Ref> targets, bool keep_held);
  void hash();

  bool slots_;
  std::vector<NodePtr> nodes_;
  std::unordered_map<const Node*, size_t> ordinal_;
  std::vector<Ref> inputs_;
  std::vector<std::shared_ptr<Slot>> slot_;  // by input: the slot that is read, or null
  std::map<std::pair<const Node*, uint32_t>, size_t> input_number_;
  std::vector<Number> numbers_;
  std::vector<Ref> outputs_;
  std::vector<NodePtr> draws_;
  uint64_t last_gradient_ = 0;  // id of the last gradient node
  Hash structure_;
};

}  // namespace plait::lazy
