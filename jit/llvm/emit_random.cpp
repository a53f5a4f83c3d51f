// Philox-4x32-10, as core/random.h defines it.
//
// The words live in 64-bit lanes whose upper halves are rubbish between rounds: a product of masked
// words is one instruction on x86 (vpmuludq) that ignores upper halves and gives both halves of the
// product. Neighbouring elements share a counter: where lanes are neighbours a quarter as many
// counters run, and all their words are used.
#include <llvm/IR/Constants.h>

#include <numeric>

#include "core/random.h"
#include "jit/llvm/emitter.h"

namespace plait::native {

namespace {

constexpr uint64_t kWord = 0xffffffff;

}  // namespace

// Computed where the seed is known: outside all loops.
llvm::Value* Emitter::round_key(llvm::Value* seed, int word, int round) {
  llvm::IRBuilderBase::InsertPointGuard guard(b_);
  if (auto* instruction = llvm::dyn_cast<llvm::Instruction>(seed))
    b_.SetInsertPoint(instruction->getNextNode());
  const uint64_t weyl = word == 0 ? random::kPhiloxWeyl0 : random::kPhiloxWeyl1;
  llvm::Value* key = word == 0 ? seed : b_.CreateLShr(seed, 32);
  llvm::Value* with_round = b_.CreateAdd(
      key, llvm::ConstantInt::get(seed->getType(), static_cast<uint64_t>(round) * weyl));
  return b_.CreateAnd(with_round, llvm::ConstantInt::get(seed->getType(), kWord));
}

// The words of the counters of `block`, in the lower halves of its lanes.
std::array<llvm::Value*, 4> Emitter::philox(llvm::Value* block, const Instruction& in) {
  auto* lanes = llvm::dyn_cast<llvm::FixedVectorType>(block->getType());
  // Uniform words stay scalars until they meet lanes.
  auto with_lanes = [&](llvm::Value* value) {
    return lanes && !is_vector(value) ? b_.CreateVectorSplat(lanes->getNumElements(), value)
                                      : value;
  };
  auto number = [&](llvm::Value* like, uint64_t value) {
    return llvm::ConstantInt::get(like->getType(), value);
  };
  auto either = [&](llvm::Value* a, llvm::Value* b) {
    if (is_vector(a) || is_vector(b)) a = with_lanes(a), b = with_lanes(b);
    return b_.CreateXor(a, b);
  };
  llvm::Value* seed = bits(in.operands[0]);
  std::array<llvm::Value*, 4> c = {block, b_.CreateLShr(block, number(block, 32)),
                                   bits(in.operands[1]), bits(in.operands[2])};
  auto product = [&](llvm::Value* word, uint64_t multiplier) {
    return b_.CreateMul(b_.CreateAnd(word, number(word, kWord)), number(word, multiplier));
  };
  for (int round = 0; round < random::kPhiloxRounds; ++round) {
    llvm::Value* p0 = product(c[0], random::kPhiloxMultiplier0);
    llvm::Value* p1 = product(c[2], random::kPhiloxMultiplier1);
    auto mixed = [&](llvm::Value* p, llvm::Value* word, int key) {
      return either(either(b_.CreateLShr(p, number(p, 32)), word), round_key(seed, key, round));
    };
    c = {mixed(p1, c[1], 0), p1, mixed(p0, c[3], 1), p0};
  }
  for (llvm::Value*& word : c) word = with_lanes(word);
  return c;
}

// `first`: the element of the chunk's first lane.
llvm::Value* Emitter::random_of_neighbours(const Instruction& in, Expr first) {
  // Lanes that do not begin with a counter's first word take from twice as many.
  const bool aligned = is_multiple_of(first, 4);
  const unsigned counters = width_ / 4 * (aligned ? 1 : 2);
  std::vector<llvm::Constant*> steps;
  for (unsigned i = 0; i < counters; ++i) steps.push_back(b_.getInt64(i));
  llvm::Value* start = scalar_index(simplify(floor_div(first, 4), ranges_));
  llvm::Value* block =
      b_.CreateAdd(b_.CreateVectorSplat(counters, start), llvm::ConstantVector::get(steps));
  const std::array<llvm::Value*, 4> words = philox(block, in);
  // Words 0 and 1 side by side, 2 and 3 likewise; then these pairs in turn.
  auto pair = [&](llvm::Value* low, llvm::Value* high) {
    llvm::Value* masked = b_.CreateAnd(low, llvm::ConstantInt::get(low->getType(), kWord));
    return b_.CreateOr(masked, b_.CreateShl(high, 32));
  };
  std::vector<int> in_turn;
  for (unsigned i = 0; i < counters; ++i) {
    in_turn.push_back(static_cast<int>(i));
    in_turn.push_back(static_cast<int>(counters + i));
  }
  llvm::Value* pairs =
      b_.CreateShuffleVector(pair(words[0], words[1]), pair(words[2], words[3]), in_turn);
  llvm::Value* all =
      b_.CreateBitCast(pairs, llvm::FixedVectorType::get(b_.getInt32Ty(), 4 * counters));
  if (aligned) return all;
  llvm::Value* offset = scalar_index(simplify(mod(first, 4), ranges_));
  llvm::Value* result = nullptr;
  for (int k = 0; k < 4; ++k) {
    std::vector<int> numbers(width_);
    std::iota(numbers.begin(), numbers.end(), k);
    llvm::Value* from_k = b_.CreateShuffleVector(all, numbers);
    llvm::Value* is_k = b_.CreateICmpEQ(offset, b_.getInt64(k));
    result = result ? b_.CreateSelect(is_k, from_k, result) : from_k;
  }
  return result;
}

llvm::Value* Emitter::random(const Instruction& in) {
  const Value& element = values_[in.operands[3]];
  const bool uniform_key = !is_vector(bits(in.operands[0])) && !is_vector(bits(in.operands[1]));
  if (element.index && is_varying(*element.index) && uniform_key && width_ % 4 == 0 &&
      lane_stride(*element.index) == 1)
    return random_of_neighbours(in, lowest_address(*element.index, false));
  llvm::Value* number = bits(in.operands[3]);
  auto constant = [&](uint64_t value) { return llvm::ConstantInt::get(number->getType(), value); };
  const std::array<llvm::Value*, 4> words = philox(b_.CreateLShr(number, constant(2)), in);
  llvm::Value* which = b_.CreateAnd(number, constant(3));
  llvm::Value* result = words[3];
  for (uint64_t k = 0; k < 3; ++k)
    result = b_.CreateSelect(b_.CreateICmpEQ(which, constant(k)), words[k], result);
  return b_.CreateTrunc(result, with_lanes_of(result, b_.getInt32Ty()));
}

}  // namespace plait::native
