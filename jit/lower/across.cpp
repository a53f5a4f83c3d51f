#include "jit/lower/across.h"

#include "jit/lower/nests.h"

namespace plait::lower {

Reducer AcrossRows::reducer(size_t member) {
  const Node& node = graph_.node(members_[member]->value);
  return {values_.builder(), node.reduce(), graph_.type(node.operands[0]).dtype};
}

void AcrossRows::allocate(Expr row_size, Expr chunks) {
  row_size_ = row_size;
  chunks_ = chunks;
  for (size_t i = 0; i < members_.size(); ++i) {
    const DType dtype = reducer(i).dtypes()[0];
    acc_.push_back(values_.local(dtype, row_size));
    partial_.push_back(values_.workspace(dtype, chunks * row_size));
  }
}

void AcrossRows::start_block() {
  vector_strip(values_, row_size_, [&](Expr index, Expr) {
    for (size_t i = 0; i < acc_.size(); ++i) {
      values_.builder().store(acc_[i], values_.simplified(index), reducer(i).identity()[0]);
    }
  });
}

void AcrossRows::accumulate(size_t member, Expr inner_index, ValueId value) {
  kernel::Builder& builder = values_.builder();
  Reducer combine = reducer(member);
  const Expr at = values_.simplified(inner_index);
  const ValueId before = builder.load(acc_[member], at);
  builder.store(acc_[member], at, combine.combine({before}, combine.element(value, Expr()))[0]);
}

// partial = acc for the first block of a chunk, partial ∘ acc for the others.
void AcrossRows::end_block(Expr chunk, Expr block) {
  kernel::Builder& builder = values_.builder();
  vector_strip(values_, row_size_, [&](Expr index, Expr) {
    for (size_t i = 0; i < acc_.size(); ++i) {
      Reducer combine = reducer(i);
      const Expr to = values_.simplified(chunk * row_size_ + index);
      const ValueId value = builder.load(acc_[i], values_.simplified(index));
      const ValueId first =
          builder.binary(kernel::Op::eq, builder.index(block), builder.index(Expr()));
      const ValueId before =
          builder.select(first, combine.identity()[0], builder.load(partial_[i], to));
      builder.store(partial_[i], to, combine.combine({before}, {value})[0]);
    }
  });
}

void AcrossRows::fold(const std::function<Tuple(const fusion::Member&, Expr)>& tuple_at) {
  kernel::Builder& builder = values_.builder();
  std::vector<BufferId> total;
  for (size_t i = 0; i < members_.size(); ++i) {
    total.push_back(values_.registers(reducer(i).dtypes()[0], kLanes, kLanes));
  }
  values_.phase(ceil_div(row_size_, kLanes), 100, [&](Expr p) {
    auto each = [&](const std::function<void(size_t, Expr, Expr)>& body) {
      values_.loop(LoopKind::vector, kLanes, [&](Expr lane) {
        const Expr index = p * kLanes + lane;
        values_.when_less(index, row_size_, [&] {
          for (size_t i = 0; i < total.size(); ++i) body(i, values_.simplified(index), lane);
        });
      });
    };
    each([&](size_t i, Expr, Expr lane) {
      builder.store(total[i], lane, reducer(i).identity()[0]);
    });
    values_.loop(LoopKind::serial, chunks_, [&](Expr c) {
      each([&](size_t i, Expr index, Expr lane) {
        const ValueId sum = builder.load(total[i], lane);
        const Expr from = values_.simplified(c * row_size_ + index);
        const ValueId next = builder.load(partial_[i], from);
        builder.store(total[i], lane, reducer(i).combine({sum}, {next})[0]);
      });
    });
    each([&](size_t i, Expr index, Expr lane) {
      const Value v = members_[i]->value;
      values_.store(v, tuple_at(*members_[i], index),
                    reducer(i).result({builder.load(total[i], lane)}, graph_.type(v).dtype));
    });
  });
}

}  // namespace plait::lower
