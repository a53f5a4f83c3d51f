#include "jit/interp/byte_counts.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "tests/support/kernels.h"
#include "tests/support/launch.h"

using namespace plait;
using namespace plait::testing;

namespace {

ByteCounts count(const kernel::Kernel& k, const std::vector<void*>& parameters,
                 const std::vector<int64_t>& sizes, int64_t cache = kDefaultCacheBytes) {
  const auto compiled = make_interpreter_backend()->compile(k);
  reset_byte_counts(*compiled, cache);
  launch(k, *compiled, parameters, sizes);
  return byte_counts(*compiled);
}

}  // namespace

TEST_CASE("a row read in two passes moves once") {
  std::vector<float> x(5 * 100, 1), y(5 * 100);
  const ByteCounts counts = count(normalize_rows(100), {x.data(), y.data()}, {5});
  REQUIRE(counts.buffers.size() == 2);  // the row buffer is scratch
  const BufferBytes &in = counts.buffers[0], &out = counts.buffers[1];
  CHECK(in.name == "x");
  CHECK(in.raw.read == 2 * 2000);
  CHECK(in.iteration.read == 2000);
  CHECK(in.moved.read == 2000);
  CHECK(in.unique.read == 2000);
  CHECK(in.moved.written == 0);
  CHECK(out.moved.written == 2000);
  CHECK(out.moved.read == 0);
  CHECK(counts.bytes() == 4000);
  CHECK(counts.unique() == 4000);
}

TEST_CASE("a row larger than the cache moves in each pass") {
  std::vector<float> x(2 * 100, 1), y(2 * 100);
  const ByteCounts counts = count(normalize_rows(100), {x.data(), y.data()}, {2}, 256);
  CHECK(counts.buffers[0].moved.read == 2 * 800);
  CHECK(counts.buffers[0].iteration.read == 800);
}

TEST_CASE("a bias shared by rows moves once, a tensor read by the next phase again") {
  const char* text =
      "kernel k\n"
      "  buffer x: f32[32] read\n"
      "  buffer bias: f32[8] read\n"
      "  buffer y: f32[32] read_write\n"
      "  phase r < 4:\n"
      "    loop s < 8:\n"
      "      %1 = x[8*r + s]\n"
      "      %2 = bias[s]\n"
      "      %3 = add %1, %2 : f32\n"
      "      y[8*r + s] = %3\n"
      "  phase r < 4:\n"
      "    loop s < 8:\n"
      "      %1 = y[8*r + s]\n"
      "      %2 = mul %1, 2 : f32\n"
      "      y[8*r + s] = %2\n";
  std::vector<float> x(32), bias(8), y(32);
  const ByteCounts counts =
      count(kernel::parse_kernel(text), {x.data(), bias.data(), y.data()}, {});
  CHECK(counts.buffers[1].raw.read == 128);
  CHECK(counts.buffers[1].iteration.read == 128);
  CHECK(counts.buffers[1].moved.read == 32);
  CHECK(counts.buffers[2].moved.read == 128);
  CHECK(counts.buffers[2].moved.written == 256);
  CHECK(counts.buffers[2].unique.written == 128);
  CHECK(counts.bytes() == 128 + 32 + 128 + 256);
}

TEST_CASE("a workspace counts, a value read after its write does not move") {
  std::vector<uint16_t> x(200);
  float y = 0;
  const ByteCounts counts = count(two_phase_sum(), {x.data(), &y}, {200});
  REQUIRE(counts.buffers.size() == 3);
  CHECK(counts.buffers[0].moved.read == 400);
  CHECK(counts.buffers[2].name == "partial");
  CHECK(counts.buffers[2].moved.written == 16);
  CHECK(counts.buffers[2].moved.read == 16);
  const char* text =
      "kernel k\n"
      "  buffer y: f32[4] read_write\n"
      "  phase r < 4:\n"
      "    y[r] = 1\n"
      "    %1 = y[r]\n"
      "    %2 = add %1, %1 : f32\n"
      "    y[r] = %2\n";
  std::vector<float> z(4);
  const ByteCounts local = count(kernel::parse_kernel(text), {z.data()}, {});
  CHECK(local.buffers[0].moved.read == 0);
  CHECK(local.buffers[0].raw.read == 16);
  CHECK(local.buffers[0].unique.read == 16);
  CHECK(local.buffers[0].moved.written == 16);
}

TEST_CASE("launches add up until a reset") {
  const kernel::Kernel k = normalize_rows(32);
  const auto compiled = make_interpreter_backend()->compile(k);
  std::vector<float> x(32), y(32);
  launch(k, *compiled, {x.data(), y.data()}, {1});
  const int64_t once = byte_counts(*compiled).buffers[0].raw.read;
  launch(k, *compiled, {x.data(), y.data()}, {1});
  CHECK(byte_counts(*compiled).buffers[0].raw.read == 2 * once);
  reset_byte_counts(*compiled);
  CHECK(byte_counts(*compiled).bytes() == 0);
  launch(k, *compiled, {x.data(), y.data()}, {1});
  CHECK(byte_counts(*compiled).bytes() == 256);
}

TEST_CASE("segments of a launch on other memory move bytes of their own") {
  const kernel::Kernel k = elementwise(kernel::Op::neg, DType::f32, DType::f32, 8);
  const auto compiled = make_interpreter_backend()->compile(k);
  reset_byte_counts(*compiled);
  std::vector<float> x(100, 1), y(100), other(60, 1), z(60);
  launch(k, *compiled, {x.data(), y.data()}, {100});
  launch(k, *compiled, {other.data(), z.data()}, {60});
  CHECK(byte_counts(*compiled).bytes() == 4 * 2 * 160);
  launch(k, *compiled, {x.data(), y.data()}, {100});  // again: all in the cache
  CHECK(byte_counts(*compiled).bytes() == 4 * 2 * 160);
}
