// Runs one scalar function, expanded by lower/math, over arrays on a backend.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "jit/backend.h"
#include "jit/lower/math.h"

namespace plait::testing {

// A kernel that computes `emit` elementwise; instances are compiled once and run often.
class ScalarFunction {
 public:
  static constexpr int64_t kLanes = 32;

  ScalarFunction(Backend& backend, UnaryOp op, DType dtype)
      : ScalarFunction(backend, {dtype}, [op](kernel::Builder& b, const auto& x) {
          return lower::emit_unary(b, op, x[0]);
        }) {}
  ScalarFunction(Backend& backend, BinaryOp op, DType dtype)
      : ScalarFunction(backend, {dtype, dtype}, [op](kernel::Builder& b, const auto& x) {
          return lower::emit_binary(b, op, x[0], x[1]);
        }) {}

  using Emit =
      std::function<kernel::ValueId(kernel::Builder&, const std::vector<kernel::ValueId>&)>;
  ScalarFunction(Backend& backend, const std::vector<DType>& inputs, const Emit& emit) {
    const DType result = result_type(inputs, emit);
    kernel::Kernel kernel;
    kernel.name = "scalar_function";
    kernel.symbols = {"blocks"};
    kernel::Builder builder(kernel);
    const Expr blocks = Expr::symbol("blocks", 0, int64_t{1} << 32);
    for (size_t i = 0; i < inputs.size(); ++i) {
      builder.add_buffer({"in" + std::to_string(i), inputs[i], blocks * kLanes,
                          kernel::BufferScope::parameter, kernel::Access::read, 1});
    }
    const kernel::BufferId out = builder.add_buffer(
        {"out", result, blocks * kLanes, kernel::BufferScope::parameter, kernel::Access::write, 1});
    builder.phase(blocks, [&](Expr block) {
      builder.loop(kernel::LoopKind::vector, kLanes, [&](Expr lane) {
        const Expr index = block * kLanes + lane;
        std::vector<kernel::ValueId> values;
        for (kernel::BufferId b = 0; b < out; ++b) values.push_back(builder.load(b, index));
        builder.store(out, index, emit(builder, values));
      });
    });
    kernel::verify(kernel);
    compiled_ = backend.compile(kernel);
    local_.resize(compiled_->local_bytes(std::vector<int64_t>{1}.data()) + 64);
  }

  // Any number of elements; the arrays are padded to whole blocks here.
  template <class Result, class T>
  std::vector<Result> run(const std::vector<std::vector<T>>& inputs) const {
    const auto count = static_cast<int64_t>(inputs[0].size());
    const int64_t blocks = (count + kLanes - 1) / kLanes;
    std::vector<std::vector<T>> padded = inputs;
    std::vector<Result> result(static_cast<size_t>(blocks * kLanes));
    std::vector<void*> buffers;
    for (std::vector<T>& input : padded) {
      input.resize(result.size());
      buffers.push_back(input.data());
    }
    buffers.push_back(result.data());
    run_blocks(buffers, blocks);
    result.resize(static_cast<size_t>(count));
    return result;
  }

  void run_blocks(const std::vector<void*>& buffers, int64_t blocks) const {
    ErrorRecord error;
    const auto address = (reinterpret_cast<uintptr_t>(local_.data()) + 63) / 64 * 64;
    compiled_->run(0,
                   {buffers.data(), &blocks, 0, blocks, reinterpret_cast<void*>(address), &error});
  }

 private:
  static DType result_type(const std::vector<DType>& inputs, const Emit& emit) {
    kernel::Kernel scratch;
    kernel::Builder builder(scratch);
    DType result = inputs[0];
    builder.phase(1, [&](Expr) {
      std::vector<kernel::ValueId> values;
      for (DType dtype : inputs) values.push_back(builder.constant(Scalar(dtype, 0)));
      result = scratch.type(emit(builder, values));
    });
    return result;
  }

  std::shared_ptr<CompiledKernel> compiled_;
  std::vector<std::byte> local_;
};

}  // namespace plait::testing
