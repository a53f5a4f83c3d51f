// Random graphs of the kind that fusion has decisions to make in: few shapes, many sharers.
#pragma once

#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "core/graph/graph.h"
#include "core/slot.h"

namespace plait::testing {

enum class Numbers : uint8_t {
  smooth,  // continuous functions of moderate values: comparable by tolerance
  exact,   // small integers in every dtype: every sum is exact, so all evaluators agree
  wild,    // every function; NaN, infinities, both zeros, ties: comparable bit by bit only
};

inline constexpr const char* kFuzzSymbol = "fuzz_s";

struct MakerOptions {
  uint64_t seed = 0;
  Numbers numbers = Numbers::smooth;
  int steps = 20;
  int64_t scale = 1;      // multiplies the larger extents
  bool symbolic = false;  // one extent is the symbol kFuzzSymbol; else its number
  int64_t symbol = 33;
  bool gradients = false;  // of a random value, by some inputs (smooth only)
};

class GraphMaker {
 public:
  explicit GraphMaker(const MakerOptions& options);

  Graph graph;
  std::map<std::string, Array> inputs;

 private:
  uint64_t below(uint64_t n) { return random_() % n; }
  bool chance(uint64_t percent) { return below(100) < percent; }
  Value any() { return pool_[pool_.size() - 1 - below(std::min<size_t>(pool_.size(), 16))]; }
  void keep(Value v) { pool_.push_back(v); }
  int64_t count(const Shape& shape) const;
  bool fits(const Shape& shape) const { return count(shape) <= most_elements_; }
  const Type& type(Value v) const { return graph.type(v); }

  Expr random_extent();
  Shape random_shape();
  DType random_dtype();
  double random_number(DType dtype);
  Value add_input(DType dtype, const Shape& shape);
  Value like(const Type& type);  // from the pool, a broadcast, a constant or an input
  Value tamed(Value v);          // moderate again after a product or a sum
  Value index_tensor(const Shape& shape, int64_t limit);

  void step();
  void unary(Value x);
  void binary(Value x);
  void ternary(Value x);
  void cast(Value x);
  void broadcast(Value x);
  void reduce(Value x);
  void normalize(Value x);  // a reduction read back over the row
  void reindex(Value x);
  void gather(Value x);
  void scatter(Value x);
  void concat(Value x);
  void scan(Value x);
  void sort(Value x);
  void random_bits();
  void contraction(Value x);
  void window_sum(Value x);
  void convolution();
  void add_gradients();

  MakerOptions options_;
  std::mt19937_64 random_;
  std::vector<Expr> extents_;
  int64_t most_elements_;
  std::vector<Value> pool_;
  uint64_t salt_ = 0;
};

// A smaller graph on which `fails` still holds: outputs are dropped, and computed values become
// inputs that hold what they were.
struct Failure {
  Graph graph;
  std::map<std::string, Array> inputs;
};
Failure reduced(Failure failure, const std::function<bool(const Failure&)>& fails);

}  // namespace plait::testing
