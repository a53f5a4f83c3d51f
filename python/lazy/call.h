// Building the graph of calls: types are inferred, and mistakes raised, as each call is made.
#pragma once

#include "python/lazy/node.h"

namespace plait::lazy {

// The parameters of a record, parsed once from its signature.
struct Parameter {
  enum class Type : uint8_t {
    tensor,
    tensors,
    operand,
    integer,
    integers,
    size,
    shape,
    number,
    flag,
    text,
    dtype
  };
  Type type;
  bool optional;  // takes None
  bool keyword_only;
  std::string type_text, name;
  std::optional<std::string> initial;
};
struct Op {
  const OpRecord* record;
  std::vector<Parameter> parameters;
  size_t positional = 0;
  bool returns_list = false;  // Tensor[]; else one tensor, or a pair
  size_t number = 0;          // in ops()
};
const std::vector<Op>& ops();  // in the order of op_records()
const Op& find_operation(std::string_view name);

// Adds a call; UserError as the op itself raises it. A pending chain that gets too long is run.
std::vector<Ref> make_call(const Op& op, std::vector<CallArgument> arguments,
                           std::vector<Ref> operands);
// For calls from here: tensors first, then the other arguments, in the signature's order; the rest
// must be given too.
Ref call_op(std::string_view name, std::vector<CallArgument> arguments, std::vector<Ref> operands);

// The arguments as compositions take them.
std::vector<Argument> to_arguments(const Call& call, const std::vector<Tensor>& operands);

// The gradients of `loss` by `wrt`, in order; those that it does not depend on are zeros.
struct GradientOptions {
  bool create_graph = false;   // the gradients have gradients
  bool frees_history = false;  // all that is between `wrt` and the loss forgets how it was computed
};
std::vector<Ref> gradient(const Ref& loss, const Ref& seed, const std::vector<Ref>& wrt,
                          GradientOptions options);
// The tensors with requires_grad that `loss` was computed from, in the order they were made, with
// the values that it read: several where one was written to in between.
// UserError if gradients can't pass on the way to them.
struct Leaf {
  std::shared_ptr<Cell> cell;
  std::vector<Ref> values;
};
std::vector<Leaf> leaves_of(const Ref& loss);

// Adds bytes that stand for the arguments, as long as the process lives.
void append_arguments(std::string& key, const std::vector<CallArgument>& arguments);

void clear_call_memory();
size_t call_memory_size();

}  // namespace plait::lazy
