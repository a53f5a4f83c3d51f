// The text of every user error of the composite ops.
#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/options.h"
#include "ops/random.h"
#include "tests/ops/evaluate_tensor.h"
#include "tests/support/error_text.h"

namespace plait {
namespace {

Tensor f32(Shape shape) { return input("f32" + to_string(shape), DType::f32, std::move(shape)); }
Tensor i64(Shape shape) { return input("i64" + to_string(shape), DType::i64, std::move(shape)); }
Tensor flags(Shape shape) {
  return input("bool" + to_string(shape), DType::boolean, std::move(shape));
}

// The call raises a UserError whose text holds each of the parts.
template <class Call>
void check_error(Call&& call, std::initializer_list<const char*> parts) {
  const std::string text = error_text<UserError>(call);
  for (const char* part : parts) CHECK_THAT(text, Catch::Contains(part));
}

TEST_CASE("errors of every op: undefined tensors, dims, shapes that do not broadcast") {
  check_error([] { exp(Tensor()); }, {"[exp] ", "a tensor without a value"});
  check_error([] { softmax(f32({2, 3}), 2); },
              {"[softmax] dim out of range; got dim 2 for f32[2, 3]", "hint: dims lie in [-2, 2)"});
  check_error([] { sum(f32({2, 3}), {0, -2}); }, {"[sum] a dim is named twice; got dim 0"});
  check_error(
      [] { f32({2, 3}) + f32({4, 3}); },
      {"[add] shapes do not broadcast; got a: f32[2, 3], b: f32[4, 3]; axis 0: 2 != 4", "hint: "});
  check_error([] { unsqueeze(f32({2}), 3); }, {"[unsqueeze] dim out of range; got dim 3"});
  check_error([] { max_dim(f32({2}), 1); }, {"[max] dim out of range"});
}

TEST_CASE("under strict_broadcast an elementwise op refuses what it would stretch (B05)") {
  Options::global().strict_broadcast = true;
  const char* text = "shapes must be equal under strict_broadcast; got a: f32[4, 1], b: f32[4]";
  check_error([] { f32({4, 1}) - f32({4}); },
              {"[sub] ", text, "hint: write the stretch as expand"});
  check_error([] { where(flags({4, 1}), f32({4}), f32({4})); }, {"[where] shapes must be equal"});
  CHECK_NOTHROW(f32({4, 1}) - f32({}) + 1.0);
  CHECK_NOTHROW(layer_norm(softmax(f32({4, 3}), 1), {3}, f32({3})));
  CHECK_NOTHROW(linear(f32({4, 3}), f32({2, 3}), f32({2})));
  Options::global().strict_broadcast = false;
  CHECK_NOTHROW(f32({4, 1}) - f32({4}));
}

TEST_CASE("errors of elementwise ops") {
  check_error([] { neg(flags({2})); }, {"[neg] neg needs a number; got bool[2]"});
  check_error([] { flags({2}) - flags({2}); },
              {"[sub] bools have no difference; got a: bool[2], b: bool[2]", "logical_xor"});
  check_error([] { div(1.0, 2.0, "up"); },
              {"[div] rounding_mode must be 'floor', 'trunc' or None; got 'up'"});
  check_error([] { pow(i64({2}), -1); },
              {"[pow] integers have no negative powers; got i64[2] to the power -1"});
  check_error([] { clamp(f32({2})); }, {"[clamp] min or max must be given; got neither"});
  check_error([] { fma(i64({2}), i64({2}), i64({2})); }, {"[fma] floats are needed; got i64[2]"});
  check_error([] { where(f32({2}), 1.0, 0.0); },
              {"[where] the condition must be bool; got f32[2]", "hint: compare it"});
  check_error([] { bitwise_and(f32({2}), 1); }, {"[bitwise_and] bit_and needs integers or bools"});
  check_error([] { bitwise_left_shift(flags({2}), true); },
              {"[bitwise_left_shift] shift_left needs integers"});
  check_error([] { bitwise_not(f32({2})); }, {"[bitwise_not] bitwise_not needs an integer"});
}

TEST_CASE("errors of rounding and composed functions") {
  check_error([] { round(i64({2}), 1); },
              {"[round] decimals need a float; got decimals 1 for i64"});
  check_error([] { round(f32({2}), 39); }, {"[round] decimals must lie in [-38, 38]; got 39"});
  check_error([] { logit(f32({2}), 0.5); }, {"[logit] eps must lie in [0, 0.5); got 0.5"});
  check_error([] { nanmean(f32({2}), {}, false, DType::i32); },
              {"[nanmean] dtype must be a float; got i32"});
}

TEST_CASE("errors of distances") {
  check_error([] { cdist(f32({2, 3}), f32({2, 4})); },
              {"[cdist] points must have equal sizes; got x1: f32[2, 3], x2: f32[2, 4]; 3 != 4"});
  check_error([] { cdist(f32({3}), f32({2, 3})); },
              {"[cdist] x1 needs at least 2 dims; got f32[3]"});
  check_error([] { cdist(f32({2, 3}), f32({2, 3}), -1.0); },
              {"[cdist] p must not be negative; got -1"});
  check_error([] { pairwise_distance(f32({}), f32({})); },
              {"[pairwise_distance] x1 needs at least 1 dims; got f32[]"});
  check_error([] { cosine_similarity(f32({3}), f32({3})); },
              {"[cosine_similarity] dim out of range; got dim 1 for f32[3]"});
  check_error([] { huber_loss(f32({2}), f32({2}), "mean", 0.0); },
              {"[huber_loss] delta must be positive; got 0"});
  check_error([] { huber_loss(f32({2}), f32({2, 1})); },
              {"[huber_loss] input and target must have one shape; got input: f32[2], target"});
}

TEST_CASE("errors of resizing") {
  check_error([] { interpolate(f32({1, 1, 4}), Shape{3}, {}, "cubic"); },
              {"[interpolate] mode must be 'nearest',", "got 'cubic'"});
  check_error([] { interpolate(f32({1, 1, 4}), Shape{3}, {}, "bilinear"); },
              {"[interpolate] mode 'bilinear' needs 4 dims; got f32[1, 1, 4]"});
  check_error([] { interpolate(f32({1, 4}), Shape{3}); },
              {"[interpolate] mode 'nearest' needs 3 to 5 dims; got f32[1, 4]"});
  check_error([] { interpolate(f32({1, 1, 4}), Shape{3}, {}, "nearest", true); },
              {"[interpolate] align_corners belongs to the linear modes; got mode 'nearest'"});
  check_error([] { interpolate(f32({1, 1, 4})); },
              {"[interpolate] either size or scale_factor must be given; got neither"});
  check_error([] { interpolate(f32({1, 1, 4}), Shape{3}, 2.0); }, {"[interpolate] ", "got both"});
  check_error([] { interpolate(f32({1, 1, 4}), Shape{3, 3}); },
              {"[interpolate] size takes 1 or 1 numbers; got [3, 3]"});
  check_error([] { interpolate(f32({1, 1, 4}), {}, -1.0); },
              {"[interpolate] scale_factor must be positive and at most 2^20; got -1"});
  check_error([] { interpolate(f32({1, 1, 4}), {}, 0.1); },
              {"[interpolate] sizes must be at least 1; got f32[1, 1, 4]; axis 2: 4 to 0"});
  check_error([] { pixel_shuffle(f32({6, 2, 2}), 2); },
              {"[pixel_shuffle] the factor must divide the size; got f32[6, 2, 2]; axis 0: 6 is no "
               "multiple of 4"});
  check_error([] { pixel_unshuffle(f32({6, 2, 3}), 2); },
              {"[pixel_unshuffle] the factor must divide the size", "axis 2: 3"});
  check_error([] { pixel_shuffle(f32({6, 2, 2}), 0); },
              {"[pixel_shuffle] upscale_factor must be at least 1; got 0"});
  check_error([] { pixel_shuffle(f32({2, 2}), 2); },
              {"[pixel_shuffle] input must be (…, channels, height, width); got f32[2, 2]"});
}

TEST_CASE("errors of ranks and draws") {
  check_error([] { quantile(f32({3}), 1.5); }, {"[quantile] q must lie in [0, 1]; got 1.5"});
  check_error([] { quantile(i64({3}), 0.5); }, {"[quantile] input must be a float; got i64[3]"});
  check_error([] { quantile(f32({3, 0}), 0.5, 1); },
              {"[quantile] an empty dim has no quantiles; got f32[3, 0]"});
  check_error([] { quantile(f32({3}), f32({2, 2})); },
              {"[quantile] q must be a number or a vector of floats; got f32[2, 2]"});
  check_error([] { quantile(f32({3}), 0.5, 0, false, "up"); },
              {"[quantile] interpolation must be 'linear',", "got 'up'"});
  check_error([] { kthvalue(f32({3}), 4); },
              {"[kthvalue] k must lie in [1, size]; got k 4 for f32[3]; dim 0 has size 3"});
  check_error([] { kthvalue(f32({}), 2); }, {"[kthvalue] k must be 1 for rank 0; got 2"});
  check_error([] { topk(f32({}), 2); }, {"[topk] k must lie in [0, 1]; got k 2 for f32[]"});
  check_error([] { softmax(f32({}), 1); }, {"[softmax] dim out of range; got dim 1 for f32[]"});
  check_error([] { multinomial(i64({3}), 1); }, {"[multinomial] dtype must be a float; got i64"});
  check_error([] { multinomial(f32({3}), 4); },
              {"[multinomial] without replacement num_samples must not exceed the categories; got "
               "4 for f32[3]"});
  check_error([] { multinomial(f32({3}), 0); },
              {"[multinomial] num_samples must be at least 1; got 0"});
  check_error([] { multinomial(f32({0}), 1, true); },
              {"[multinomial] at least one category is needed; got f32[0]"});
  check_error([] { multinomial(f32({1, 1, 3}), 1); },
              {"[multinomial] input must be (categories) or (batch, categories); got f32[1, 1"});
}

TEST_CASE("errors of activations") {
  check_error([] { hardtanh(f32({2}), 1.0, 0.0); },
              {"[hardtanh] min_val must not exceed max_val; got 1 and 0"});
  check_error([] { glu(f32({2, 3})); },
              {"[glu] the dim that is halved must be even; got f32[2, 3]; dim 1 has size 3"});
  check_error([] { prelu(f32({2, 3}), f32({2})); },
              {"[prelu] weight must be one number or one per channel (dim 1); got input: f32[2, "
               "3], weight: f32[2]"});
  check_error([] { gelu(f32({2}), "fast"); },
              {"[gelu] approximate must be 'none' or 'tanh'; got 'fast'"});
  check_error([] { softplus(f32({2}), 0.0); }, {"[softplus] beta must not be 0"});
  check_error([] { softmax(f32({2}), 0, DType::i32); },
              {"[softmax] dtype must be a float; got i32"});
}

TEST_CASE("errors of reductions name the empty dim") {
  check_error([] { amax(f32({2, 0}), 1); },
              {"[amax] an empty dim has no largest or smallest element; got f32[2, 0]; dim 1 has "
               "size 0"});
  check_error([] { max(f32({0})); }, {"[max] an empty dim", "dim 0 has size 0"});
  check_error([] { argmin(f32({0, 2})); }, {"[argmin] an empty dim", "got f32[0]"});
  check_error([] { norm(f32({0}), std::numeric_limits<double>::infinity()); }, {"[norm] an empty"});
  check_error([] { norm(f32({2}), -2.0); }, {"[norm] p must be at least 0 or -inf; got -2"});
}

TEST_CASE("errors of movement") {
  check_error([] { reshape(f32({2, 3}), {4, 2}); },
              {"[reshape] the number of elements must stay; got [4, 2] for f32[2, 3]; 8 != 6"});
  check_error([] { reshape(f32({2, 3}), {4, -1}); },
              {"[reshape] the number of elements", "4 != 6"});
  check_error([] { reshape(f32({2, 3}), {-1, -1}); }, {"[reshape] only one size may be -1"});
  check_error([] { reshape(f32({2, 3}), {-2, 3}); }, {"[reshape] sizes must not be negative"});
  check_error([] { reshape(f32({0, 3}), {0, -1}); }, {"[reshape] -1 is ambiguous beside a size 0"});
  check_error([] { flatten(f32({2, 3}), 1, 0); },
              {"[flatten] start_dim must not be after end_dim; got 1 and 0"});
  check_error([] { permute(f32({2, 3}), {0}); },
              {"[permute] every dim must be named once; got 1 dims for f32[2, 3] of rank 2"});
  check_error([] { permute(f32({2, 3}), {0, 0}); }, {"[permute] a dim is named twice; got dim 0"});
  check_error([] { expand(f32({2, 3}), {3}); },
              {"[expand] dims can only be added at the front; got [3] for f32[2, 3]"});
  check_error([] { expand(f32({3}), {-1, 3}); }, {"[expand] -1 keeps a size, but dim 0 is new"});
  check_error([] { expand(f32({2, 3}), {4, 3}); },
              {"[expand] only dims of size 1 stretch; got [4, 3] for f32[2, 3]; dim 0: 2 != 4"});
  check_error([] { slice(f32({3}), 0, 0, 3, 0); },
              {"[slice] step must be at least 1; got 0", "hint: use flip"});
  check_error([] { narrow(f32({3}), 0, 2, 2); },
              {"[narrow] the part must lie within dim 0; got start 2, length 2 for f32[3]"});
  check_error([] { select(f32({3}), 0, 3); },
              {"[select] index out of range; got index 3 for f32[3]; dim 0 has size 3"});
  check_error([] { roll(f32({2, 3}), {1, 2}); },
              {"[roll] without dims one shift is needed; got 2"});
  check_error([] { roll(f32({2, 3}), 1, {0, 1}); },
              {"[roll] one shift per dim is needed; got 1 shifts and 2 dims"});
}

TEST_CASE("errors of joining and padding") {
  check_error([] { cat({}); }, {"[cat] at least one tensor is needed; got none"});
  check_error([] { cat({f32({2, 3}), f32({2, 4})}); },
              {"[cat] sizes must agree; got a: f32[2, 3], b: f32[2, 4]; axis 1: 3 != 4"});
  check_error([] { cat({f32({2, 3}), f32({3})}); }, {"[cat] ranks must agree"});
  check_error([] { stack({f32({2}), f32({3})}); },
              {"[stack] shapes must be equal; got a: f32[2], b: f32[3]; axis 0: 2 != 3"});
  check_error([] { stack({f32({2}), f32({2, 1})}); },
              {"[stack] shapes must be equal", "rank 1 != 2"});
  check_error([] { split(f32({3}), 0); }, {"[split] the split size must be at least 1; got 0"});
  check_error([] { split(f32({3}), {1, 1}); },
              {"[split] the sections must add up to the dim; got 2 for f32[3]; dim 0: 2 != 3"});
  check_error([] { chunk(f32({3}), 0); }, {"[chunk] chunks must be at least 1; got 0"});
  check_error([] { unbind(f32({dim("unbind_n", 1, 9)})); },
              {"[unbind] the dim that is split must be a fixed number; got the symbolic size "
               "unbind_n"});
  check_error([] { repeat(f32({2, 3}), 2); },
              {"[repeat] one number per dim is needed; got 1 for f32[2, 3] of rank 2"});
  check_error([] { repeat(f32({2}), -1); }, {"[repeat] repeats must not be negative; got -1"});
  check_error([] { repeat_interleave(f32({2}), -1, 0); },
              {"[repeat_interleave] repeats must not be negative; got -1"});
  check_error([] { pad(f32({2}), {1, 1, 1, 1}); },
              {"[pad] pad holds (before, after) pairs from the last dim on; got 4 numbers"});
  check_error([] { pad(f32({2}), {1, 1}, "mirror"); }, {"[pad] mode must be", "got 'mirror'"});
  check_error([] { pad(f32({2}), {1, 1}, "constant", f32({})); }, {"[pad] value must be a number"});
  check_error([] { pad(f32({2}), {2, 0}, "reflect"); },
              {"[pad] reflection needs a padding below the size; got 2 and 0 for f32[2]; dim 0"});
  check_error([] { pad(f32({2}), {0, 3}, "circular"); },
              {"[pad] circular padding must not exceed the size; got 0 and 3"});
  check_error([] { pad(f32({0}), {0, 3}, "replicate"); }, {"[pad] nothing to repeat", "size 0"});
  check_error([] { pad(f32({2}), {-3, 0}); },
              {"[pad] a negative padding must not exceed the size; got -3 and 0 for f32[2]"});
  check_error([] { tril(f32({2})); }, {"[tril] at least 2 dims are needed; got f32[2]"});
  check_error([] { triu(f32({2})); }, {"[triu] at least 2 dims are needed; got f32[2]"});
}

TEST_CASE("errors of indexing") {
  check_error([] { embedding(f32({2}), f32({3, 4})); },
              {"[embedding] indices must be integers; got f32[2]"});
  check_error([] { embedding(i64({2}), f32({3})); },
              {"[embedding] weight must be (entries, features); got f32[3]"});
  check_error([] { gather(f32({2, 3}), 0, i64({2})); },
              {"[gather] ranks must agree; got input: f32[2, 3], index: i64[2]; rank 2 != 1"});
  check_error([] { gather(f32({2, 3}), 0, i64({1, 4})); },
              {"[gather] index must not be larger; got input: f32[2, 3], index: i64[1, 4]; axis 1: "
               "3 < 4"});
  check_error([] { index_select(f32({2}), 0, i64({2, 1})); },
              {"[index_select] index must have one dim; got i64[2, 1]"});
  check_error([] { index(f32({2}), {0}, {}); },
              {"[index] one index tensor per dim is needed; got 1 dims and 0 tensors"});
  check_error([] { index(f32({2, 3}), {1, 0}, {i64({1}), i64({1})}); },
              {"[index] dims must rise; got dim 0 for f32[2, 3]"});
  check_error([] { one_hot(i64({2}), 0); }, {"[one_hot] num_classes must be at least 1; got 0"});
  check_error([] { masked_scatter(f32({2}), i64({2}), f32({2})); },
              {"[masked_scatter] mask must be bool and source of input's dtype"});
  check_error([] { scatter_add(f32({2}), 0, i64({2}), i64({2})); },
              {"[scatter_add] dtypes must agree; got input: f32[2], src: i64[2]"});
  check_error([] { scatter_add(f32({2}), 0, i64({3}), f32({2})); },
              {"[scatter_add] index must not be larger; got src: f32[2], index: i64[3]"});
  check_error([] { scatter_reduce(f32({2}), 0, i64({2}), f32({2}), "mean"); },
              {"[scatter_reduce] reduce must be 'sum', 'prod', 'amax' or 'amin'; got 'mean'"});
  check_error([] { index_add(f32({2, 3}), 0, i64({2}), f32({1, 3})); },
              {"[index_add] source must have one part per index along dim 0"});
  check_error([] { index_add(f32({2, 3}), 0, i64({2}), f32({2, 4})); },
              {"[index_add] sizes must agree", "axis 1: 3 != 4"});
  check_error([] { topk(f32({2}), 3); },
              {"[topk] k must lie in [0, size]; got k 3 for f32[2]; dim 0 has size 2"});
}

TEST_CASE("an index outside its dim fails the run and names op, axis, position and value") {
  reset_current_graph();
  const Tensor weight = testing::tensor({3, 2}, {1, 2, 3, 4, 5, 6});
  const Tensor bad = testing::vector({0, 3}, DType::i64);
  auto run = [](const Tensor& x) { testing::values(x); };
  check_error([&] { run(embedding(bad, weight)); },
              {"[embedding/", "axis 0 of f32[3, 2] at position [1, 0]: 3"});
  check_error([&] { run(take(weight, testing::vector({-7}, DType::i64))); },
              {"[take/", "-1 is not in 0..5"});
  check_error([&] { run(one_hot(bad, 3)); }, {"[one_hot/", "at position [1]: 3"});
  check_error([&] { run(cross_entropy(weight, testing::vector({0, 2, 1}, DType::i64))); },
              {"[cross_entropy/", "axis 1 of f32[3, 2] at position [1]: 2"});
}

TEST_CASE("errors of products") {
  check_error([] { matmul(f32({2, 3}), f32({4, 5})); },
              {"[matmul] inner sizes must agree; got a: f32[2, 3], b: f32[4, 5]; axis 1 of a and "
               "axis 0 of b: 3 != 4",
               "hint: transpose one of them"});
  check_error([] { matmul(f32({}), f32({4})); },
              {"[matmul] at least one dim is needed; got a: f32[], b: f32[4]"});
  check_error([] { matmul(f32({2, 3, 4}), f32({5, 4, 3})); },
              {"[matmul] shapes do not broadcast", "axis 0: 2 != 5"});
  check_error([] { matmul(flags({2, 3}), flags({3, 2})); },
              {"[matmul] bools have no products to sum"});
  check_error([] { mm(f32({2}), f32({2, 3})); }, {"[mm] input must have 2 dims; got f32[2]"});
  check_error([] { bmm(f32({2, 3, 4}), f32({1, 4, 3})); },
              {"[bmm] batch sizes must agree", "axis 0: 2 != 1", "hint: matmul broadcasts"});
  check_error([] { dot(f32({2}), f32({3})); }, {"[dot] inner sizes must agree", "2 != 3"});
  check_error([] { outer(f32({2, 1}), f32({3})); }, {"[outer] input must have 1 dims"});
  check_error([] { linear(f32({2, 3}), f32({4, 5})); },
              {"[linear] inner sizes must agree", "axis 1 of a and axis 1 of b: 3 != 5"});
  check_error([] { linear(f32({}), f32({4, 5})); }, {"[linear] input needs a feature dim"});
  check_error(
      [] { linear(f32({2, 5}), f32({4, 5}), f32({3})); },
      {"[linear] bias must have one number per output; got weight: f32[4, 5], bias: f32[3]; "
       "4 != 3"});
}

TEST_CASE("errors of einsum") {
  check_error([] { einsum("", {}); }, {"[einsum] at least one tensor is needed"});
  check_error([] { einsum("ij,jk", {f32({2, 3})}); },
              {"[einsum] 'ij,jk' names 2 operands; got 1 tensors"});
  check_error([] { einsum("i.j", {f32({2, 3})}); },
              {"[einsum] an operand is letters and at most one '...'; got 'i.j' in 'i.j'"});
  check_error([] { einsum("ijk", {f32({2, 3})}); },
              {"[einsum] operand 0 has 2 dims, but 'ijk' names 3; got f32[2, 3]"});
  check_error([] { einsum("i", {f32({2, 3})}); }, {"operand 0 has 2 dims, but 'i' names 1"});
  check_error([] { einsum("ij->ii", {f32({2, 3})}); },
              {"[einsum] the result names 'i' twice in 'ij->ii'"});
  check_error([] { einsum("ij->k", {f32({2, 3})}); },
              {"[einsum] the result names 'k', which no operand has, in 'ij->k'"});
  check_error([] { einsum("ii", {f32({2, 3})}); },
              {"[einsum] axes of one name must have one size; got f32[2, 3]; 'i': 2 != 3"});
  check_error([] { einsum("ij,jk", {f32({2, 3}), f32({4, 5})}); },
              {"[einsum] shapes do not broadcast", "3 != 4"});
  check_error([] { einsum("i", {flags({2})}); }, {"[einsum] bools have no products to sum"});
}

TEST_CASE("errors of convolution") {
  const Shape image = {1, 4, 5, 5};
  check_error(
      [&] { conv2d(f32({4, 5, 5}), f32({2, 4, 3, 3})); },
      {"[conv2d] input must be (batch, channels, 2 axes) and weight have 4 dims; got input: "
       "f32[4, 5, 5], weight: f32[2, 4, 3, 3]"});
  check_error([&] { conv2d(f32(image), f32({2, 3, 3, 3})); },
              {"[conv2d] weight must have channels / groups inputs", "axis 1 of weight: 3 != 4"});
  check_error([&] { conv2d(f32(image), f32({3, 2, 3, 3}), std::nullopt, 1, 0, 1, 2); },
              {"[conv2d] groups must divide the channels; got groups 2", "3 output channels"});
  check_error([&] { conv2d(f32(image), f32({2, 4, 7, 3})); },
              {"[conv2d] the kernel must fit the padded input; got f32[1, 4, 5, 5]; axis 2: size 5 "
               "with padding 0 and 0, kernel 7 with dilation 1"});
  check_error([&] { conv2d(f32(image), f32({2, 4, 3, 3}), std::nullopt, 0); },
              {"[conv2d] stride must be at least 1; got 0"});
  check_error([&] { conv2d(f32(image), f32({2, 4, 3, 3}), std::nullopt, {1, 1, 1}); },
              {"[conv2d] stride takes 1 or 2 numbers; got 3"});
  check_error([&] { conv2d(f32(image), f32({2, 4, 3, 3}), std::nullopt, 1, {1, 1, 1}); },
              {"[conv2d] padding takes 1 number, 2 numbers, or 2 (before, after) pairs; got 3"});
  check_error([&] { conv2d(f32(image), f32({2, 4, 3, 3}), f32({3})); },
              {"[conv2d] bias must have one number per output channel; got f32[3] for 2 channels"});
  check_error([&] { conv2d(f32({1, dim("conv_c", 1, 9), 5, 5}), f32({2, 4, 3, 3})); },
              {"[conv2d] the number of channels must be a fixed number; got the symbolic size"});
  check_error([&] { conv_transpose2d(f32(image), f32({3, 2, 3, 3})); },
              {"[conv_transpose2d] weight must have one part per input channel", "4 != 3"});
  check_error(
      [&] { conv_transpose2d(f32(image), f32({4, 2, 3, 3}), std::nullopt, 2, 0, 2); },
      {"[conv_transpose2d] output_padding must be below stride or dilation; got 2 for stride "
       "2 and dilation 1"});
  check_error([&] { conv_transpose2d(f32(image), f32({4, 2, 3, 3}), std::nullopt, 0); },
              {"[conv_transpose2d] stride and dilation must be at least 1, padding at least 0"});
  check_error(
      [&] { conv_transpose2d(f32(image), f32({4, 2, 1, 1}), std::nullopt, 1, 3); },
      {"[conv_transpose2d] the result would be empty; got f32[1, 4, 5, 5]; axis 2: size -1"});
}

TEST_CASE("errors of pooling") {
  check_error([] { max_pool2d(f32({4, 5, 5}), 2); },
              {"[max_pool2d] input must be (batch, channels, 2 axes); got f32[4, 5, 5]"});
  check_error(
      [] { max_pool2d(f32({1, 4, 5, 5}), 2, {}, 2); },
      {"[max_pool2d] padding must be at most half of the kernel; got padding 2 and 2, kernel "
       "2"});
  check_error([] { avg_pool2d(f32({1, 4, 5, 5}), 2, {}, 0, false, true, 0); },
              {"[avg_pool2d] divisor_override must not be 0"});
  check_error([] { adaptive_avg_pool2d(f32({4, 5, 5}), 1); },
              {"[adaptive_avg_pool2d] input must be (batch, channels, 2 axes); got f32[4, 5, 5]"});
  check_error([] { adaptive_avg_pool2d(f32({1, 4, 5, 5}), 0); },
              {"[adaptive_avg_pool2d] output_size must be at least 1; got 0"});
  check_error([] { adaptive_avg_pool1d(f32({1, 4, 0}), 2); },
              {"[adaptive_avg_pool1d] sizes must be at least 1; got f32[1, 4, 0]; axis 2 has"});
}

TEST_CASE("errors of normalisation") {
  check_error([] { layer_norm(f32({2, 3}), {4}); },
              {"[layer_norm] normalized_shape must be the last sizes of input; got [4] for f32[2, "
               "3]; axis 1: 4 != 3"});
  check_error([] { layer_norm(f32({2, 3}), {}); },
              {"[layer_norm] normalized_shape must name 1 to 2 dims"});
  check_error([] { layer_norm(f32({2, 3}), {3}, f32({2})); },
              {"[layer_norm] weight must have shape [3]; got f32[2] for input: f32[2, 3]"});
  check_error([] { batch_norm(f32({2}), {}, {}); },
              {"[batch_norm] input must be (batch, channels, …); got f32[2]"});
  check_error([] { batch_norm(f32({2, 3}), {}, {}); },
              {"[batch_norm] running_mean and running_var are needed unless training"});
  check_error([] { group_norm(f32({2, 5}), 2); },
              {"[group_norm] num_groups must divide the channels; got 2 for f32[2, 5]; axis 1 has "
               "size 5"});
}

TEST_CASE("errors of losses: nothing broadcasts (B05)") {
  check_error([] { mse_loss(f32({4, 1}), f32({4})); },
              {"[mse_loss] input and target must have one shape; got input: f32[4, 1], target: "
               "f32[4]",
               "hint: squeeze or expand"});
  check_error([] { l1_loss(f32({4}), f32({1})); },
              {"[l1_loss] input and target must have one shape"});
  check_error([] { mse_loss(f32({4}), f32({4}), "avg"); },
              {"[mse_loss] reduction must be 'mean', 'sum' or 'none'; got 'avg'"});
  check_error([] { cross_entropy(f32({4, 3}), i64({4, 1})); },
              {"[cross_entropy] target must have the shape of input without the class dim 1; got "
               "input: f32[4, 3], target: i64[4, 1]; [4, 1] != [4]"});
  check_error([] { cross_entropy(f32({4, 3}), flags({4})); },
              {"[cross_entropy] target must hold integers"});
  check_error([] { cross_entropy(f32({4, 3}), i64({4}), f32({2})); },
              {"[cross_entropy] weight must have one number per class; got weight: f32[2]"});
  check_error([] { cross_entropy(f32({4, 3}), i64({4}), {}, -100, "mean", 1.5); },
              {"[cross_entropy] label_smoothing must lie in [0, 1]; got 1.5"});
  check_error([] { cross_entropy(f32({}), i64({})); }, {"[cross_entropy] input needs a class dim"});
  check_error([] { cross_entropy(f32({4, 3}), i64({4}), {}, -100, "avg"); },
              {"[cross_entropy] reduction must be"});
  check_error([] { smooth_l1_loss(f32({4}), f32({4}), "mean", -1.0); },
              {"[smooth_l1_loss] beta must not be negative; got -1"});
  check_error([] { kl_div(f32({}), f32({}), "batchmean"); },
              {"[kl_div] 'batchmean' needs a batch dim; got f32[]"});
}

TEST_CASE("errors of attention") {
  check_error([] { scaled_dot_product_attention(f32({4}), f32({4}), f32({4})); },
              {"[scaled_dot_product_attention] query, key and value must be floats (…, length, "
               "features)"});
  check_error([] { scaled_dot_product_attention(f32({2, 4}), f32({2, 5}), f32({2, 4})); },
              {"[scaled_dot_product_attention] query and key must have equal features", "4 != 5"});
  check_error([] { scaled_dot_product_attention(f32({2, 4}), f32({3, 4}), f32({2, 4})); },
              {"[scaled_dot_product_attention] key and value must have equal lengths", "3 != 2"});
  auto shared = [](const Tensor& q, const Tensor& k) {
    scaled_dot_product_attention(q, k, k, std::nullopt, 0.0, false, std::nullopt, true);
  };
  check_error([&] { shared(f32({2, 4}), f32({2, 4})); }, {"enable_gqa needs a head dim"});
  check_error([&] { shared(f32({4, 2, 4}), f32({3, 2, 4})); },
              {"query heads must be a multiple of key and value heads", "4 and 3"});
  check_error(
      [] { rotary_embedding(f32({2, 3}), f32({1}), f32({1})); },
      {"[rotary_embedding] features come in pairs; got f32[2, 3]; the last dim has size 3"});
  check_error([] { rotary_embedding(f32({}), f32({1}), f32({1})); },
              {"[rotary_embedding] input needs a feature dim"});
}

TEST_CASE("errors of creation and random numbers") {
  check_error([] { zeros({-1}); }, {"[zeros] sizes must not be negative; got [-1]"});
  check_error([] { full({2}, f32({3})); },
              {"[full] fill_value must be a number or of rank 0; got f32[3]"});
  check_error([] { arange(0, 5, 0); }, {"[arange] step must not be 0"});
  check_error([] { arange(f32({})); }, {"[arange] start, end and step must be numbers or sizes"});
  check_error([] { arange(0.5, dim("arange_n", 1, 9)); },
              {"[arange] beside a symbolic size all numbers must be integers"});
  check_error([] { arange(std::numeric_limits<double>::infinity()); },
              {"[arange] the numbers must be finite"});
  check_error([] { linspace(0, 1, -1); }, {"[linspace] steps must not be negative; got -1"});
  check_error([] { rand({-1}); }, {"[rand] sizes must not be negative; got [-1]"});
  check_error([] { rand({2}, DType::i32); }, {"[rand] dtype must be a float; got i32"});
  check_error([] { randn({2}, DType::i32); }, {"[randn] dtype must be a float; got i32"});
  check_error([] { normal(0, -1, {2}); }, {"[normal] std must not be negative; got -1"});
  check_error([] { randint(3, 3, {2}); },
              {"[randint] high must exceed low by 1 to 2^32; got low 3 and high 3"});
  check_error([] { randperm(-1); }, {"[randperm] n must not be negative; got -1"});
  check_error([] { dropout(f32({2}), 1.5); }, {"[dropout] p must lie in [0, 1]; got 1.5"});
  check_error([] { bernoulli(i64({2})); }, {"[bernoulli] dtype must be a float; got i64"});
}

}  // namespace
}  // namespace plait
