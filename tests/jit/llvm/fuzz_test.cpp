// Random kernels against the interpreter: nested loops of every kind, conditions by lane and by
// value, register rows read and written whole and in part, addresses with divisions.
#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "jit/kernel/builder.h"
#include "tests/jit/llvm/compare.h"

using namespace plait;
using namespace plait::kernel;
using namespace plait::testing;

namespace {

class Generator {
 public:
  explicit Generator(uint64_t seed) : state_(seed), b_(kernel_) {
    kernel_.name = fmt::format("fuzz_{}", seed);
    kernel_.symbols = {"fuzz_n", "fuzz_m"};
    n_ = Expr::symbol("fuzz_n", 0, 100);
    m_ = Expr::symbol("fuzz_m", 1, 50);
  }

  Kernel make() {
    const DType types[] = {DType::f32, DType::i32, DType::f64, DType::u8};
    for (DType type : {DType::f32, DType::i32}) {
      Buffer input{fmt::format("x_{}", dtype_name(type)), type, 64 * m_};
      inputs_.push_back(b_.add_buffer(input));
    }
    for (DType type : types) {
      Buffer output{fmt::format("y_{}", dtype_name(type)), type, n_ * kPerIteration};
      output.access = Access::write;
      outputs_.push_back(b_.add_buffer(output));
    }
    for (int i = 0; i < 3; ++i) {
      Buffer rows{fmt::format("r{}", i), types[pick(3)], 0, BufferScope::registers};
      rows.lanes = std::vector<uint32_t>{1, 4, 8, 16, 24, 32}[pick(6)];
      rows.size = static_cast<int64_t>((160 + rows.lanes - 1) / rows.lanes * rows.lanes);
      registers_.push_back(b_.add_buffer(rows));
    }
    Buffer scratch{"scratch", DType::f32, m_ + 96, BufferScope::local};
    local_ = b_.add_buffer(scratch);
    b_.phase(n_, [&](Expr p) {
      phase_ = p;
      variables_ = {p};
      for (BufferId id : registers_) {
        DType type = kernel_.buffers[id].dtype;
        b_.loop(LoopKind::unrolled, kernel_.buffers[id].size,
                [&](Expr i) { b_.store(id, i, b_.constant(type, static_cast<double>(pick(9)))); });
      }
      b_.loop(LoopKind::serial, kernel_.buffers[local_].size,
              [&](Expr i) { b_.store(local_, i, b_.cast(DType::f32, b_.index(i - m_))); });
      block(3);
      for (BufferId id : registers_) write_out(id);
    });
    return std::move(kernel_);
  }

 private:
  static constexpr int64_t kPerIteration = 4096;

  uint64_t pick(uint64_t n) {
    state_ = state_ * 6364136223846793005 + 1442695040888963407;
    return (state_ >> 33) % n;
  }

  // One vector loop touches a register buffer at one offset alone: lanes must not meet.
  struct Lanes {
    Expr variable;
    int64_t extent;
    std::vector<int64_t> offsets;  // by register buffer
  };

  Expr random_index() {
    Expr e = static_cast<int64_t>(pick(20));
    for (Expr v : variables_)
      if (pick(2)) e = e + v * static_cast<int64_t>(pick(4));
    if (lanes_ && pick(3)) e = e + lanes_->variable * (static_cast<int64_t>(pick(5)) - 1);
    if (pick(4) == 0) e = e + n_ - m_;
    if (pick(4) == 0) e = floor_div(e, static_cast<int64_t>(1 + pick(9)));
    if (pick(6) == 0) e = min(e, m_ * 3) + max(e, Expr(5));
    return e;
  }

  // An address inside [0, 64*m): often neighbours in the lane.
  Expr input_index() {
    if (lanes_ && pick(3) == 0) return lanes_->variable;
    if (lanes_ && pick(4) == 0) return lanes_->extent - 1 - lanes_->variable;
    if (lanes_ && pick(4) == 0 && lanes_->extent <= 24)
      return 2 * lanes_->variable + static_cast<int64_t>(pick(9));
    return mod(random_index(), pick(2) ? 64 * m_ : Expr(61));
  }

  size_t register_of(BufferId id) const {
    return static_cast<size_t>(std::find(registers_.begin(), registers_.end(), id) -
                               registers_.begin());
  }

  // In a vector loop the lanes' elements, else any element.
  Expr register_index(BufferId id) {
    if (lanes_) return lanes_->variable + lanes_->offsets[register_of(id)];
    return static_cast<int64_t>(pick(160));
  }

  ValueId random_value(DType type, int depth) {
    switch (pick(depth > 0 ? 9 : 4)) {
      case 0:
        return b_.constant(type, static_cast<double>(pick(7)) - 2);
      case 1:
        return b_.cast(type, b_.index(random_index()));
      case 2:
        return b_.cast(type, b_.load(inputs_[pick(inputs_.size())], input_index()));
      case 3: {
        BufferId id = registers_[pick(registers_.size())];
        return b_.cast(type, b_.load(id, register_index(id)));
      }
      case 4:
        return b_.select(random_condition(depth - 1), random_value(type, depth - 1),
                         random_value(type, depth - 1));
      case 5:
        return b_.unary(pick(2) ? Op::neg : Op::abs, random_value(type, depth - 1));
      default: {
        const Op ops[] = {Op::add, Op::sub, Op::mul, Op::maximum, Op::minimum, Op::div};
        ValueId x = random_value(type, depth - 1);
        return b_.binary(ops[pick(6)], x, random_value(type, depth - 1));
      }
    }
  }

  ValueId random_condition(int depth) {
    const Op ops[] = {Op::lt, Op::le, Op::eq, Op::ne};
    if (lanes_ && pick(2)) {
      auto bound = static_cast<int64_t>(pick(static_cast<uint64_t>(lanes_->extent) + 2));
      ValueId x = b_.index(pick(2) ? lanes_->variable : variables_.back() - lanes_->variable);
      ValueId y = b_.index(pick(2) ? bound : -bound);
      return pick(2) ? b_.binary(ops[pick(4)], x, y) : b_.binary(ops[pick(4)], y, x);
    }
    if (pick(2)) {
      ValueId x = b_.index(random_index());
      return b_.binary(ops[pick(4)], x, b_.index(pick(2) ? random_index() : n_));
    }
    ValueId x = random_value(DType::f32, depth);
    return b_.binary(ops[pick(4)], x, random_value(DType::f32, depth));
  }

  void block(int depth) {
    for (uint64_t i = 1 + pick(3); i > 0; --i) statement(depth);
  }

  void loop(LoopKind kind, Expr extent, int depth) {
    b_.loop(kind, extent, [&](Expr v) {
      variables_.push_back(v);
      block(depth - 1);
      variables_.pop_back();
    });
  }

  void statement(int depth) {
    switch (pick(depth > 0 ? 8 : 3)) {
      default: {
        BufferId id = registers_[pick(registers_.size())];
        b_.store(id, register_index(id), random_value(kernel_.buffers[id].dtype, 2));
        return;
      }
      case 1: {
        // Outputs have a place for each statement, iteration and lane.
        if (next_ + 64 > kPerIteration) return;
        BufferId id = outputs_[pick(outputs_.size())];
        Expr at = phase_ * kPerIteration + next_;
        if (lanes_) at = at + (pick(2) ? lanes_->variable : 63 - lanes_->variable);
        next_ += 64;
        b_.store(id, at, random_value(kernel_.buffers[id].dtype, 2));
        return;
      }
      case 2: {
        if (lanes_) return;
        b_.store(local_, mod(random_index(), m_ + 96), random_value(DType::f32, 1));
        return;
      }
      case 3:
        b_.when(random_condition(1), [&] { block(depth - 1); });
        return;
      case 4:
        loop(LoopKind::serial, pick(2) && !lanes_ ? mod(random_index(), 5) : mod(n_, 4), depth);
        return;
      case 5:
        loop(LoopKind::unrolled, static_cast<int64_t>(1 + pick(3)), depth);
        return;
      case 6:
      case 7: {
        if (lanes_) return;
        const int64_t extents[] = {1, 3, 4, 8, 12, 16, 24, 32, 48, 64};
        int64_t extent = extents[pick(10)];
        b_.loop(LoopKind::vector, extent, [&](Expr v) {
          lanes_ = Lanes{v, extent, {}};
          for (size_t i = 0; i < registers_.size(); ++i)
            lanes_->offsets.push_back(static_cast<int64_t>(pick(8) * 4 * pick(2) + pick(2)));
          block(depth - 1);
          lanes_.reset();
        });
        return;
      }
    }
  }

  void write_out(BufferId id) {
    DType type = kernel_.buffers[id].dtype;
    for (BufferId output : outputs_)
      if (kernel_.buffers[output].dtype == type) {
        if (next_ + 160 > kPerIteration) return;
        int64_t at = next_;
        next_ += 160;
        b_.loop(LoopKind::unrolled, 160,
                [&](Expr i) { b_.store(output, phase_ * kPerIteration + at + i, b_.load(id, i)); });
        return;
      }
  }

  uint64_t state_;
  Kernel kernel_;
  Builder b_;
  Expr n_, m_, phase_;
  std::vector<BufferId> inputs_, outputs_, registers_;
  BufferId local_ = 0;
  std::vector<Expr> variables_;
  std::optional<Lanes> lanes_;
  int64_t next_ = 0;
};

}  // namespace

TEST_CASE("random kernels") {
  for (uint64_t seed = 1; seed <= 80; ++seed) {
    Kernel kernel = Generator(seed).make();
    INFO(to_text(kernel));
    CHECK(difference(kernel, {2, static_cast<int64_t>(1 + seed % 7)}, {seed, {}}) == "");
  }
}
