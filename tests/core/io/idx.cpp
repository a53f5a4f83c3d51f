#include "core/io/idx.h"

#include <zlib.h>

#include <catch2/catch.hpp>

#include "core/error.h"
#include "tests/core/io/arrays.h"
#include "tests/support/error_text.h"
#include "tests/support/skip.h"
#include "tests/support/temporary_folder.h"

using namespace plait;
using Catch::Matchers::Contains;

namespace {

std::string idx(char code, const std::vector<uint32_t>& extents, const std::string& data) {
  std::string text = {'\0', '\0', code, static_cast<char>(extents.size())};
  for (uint32_t extent : extents) {
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(extent >> shift);
  }
  return text + data;
}

void write_gzip(const std::filesystem::path& path, const std::string& text) {
  const gzFile file = gzopen(path.c_str(), "wb");
  REQUIRE(gzwrite(file, text.data(), static_cast<unsigned>(text.size())) ==
          static_cast<int>(text.size()));
  REQUIRE(gzclose(file) == Z_OK);
}

std::string error_of(const std::string& bytes) {
  TemporaryFolder folder;
  write_text(folder / "a", bytes);
  return error_text<UserError>([&] { load_idx(folder / "a"); });
}

}  // namespace

TEST_CASE("idx: element types, big-endian, plain and gzipped") {
  TemporaryFolder folder;
  const auto check = [&](const std::string& bytes, DType dtype, std::vector<int64_t> shape,
                         std::vector<double> values) {
    write_text(folder / "a", bytes);
    write_gzip(folder / "a.gz", bytes);
    for (const char* name : {"a", "a.gz"}) {
      const Array array = load_idx(folder / name);
      CHECK(array.dtype == dtype);
      CHECK(array.shape == shape);
      for (size_t i = 0; i < values.size(); ++i) {
        CHECK(array.at(static_cast<int64_t>(i)).as_double() == values[i]);
      }
    }
  };
  check(idx(0x08, {2, 1}, "\xff\x01"), DType::u8, {2, 1}, {255, 1});
  check(idx(0x09, {1}, "\xff"), DType::i8, {1}, {-1});
  check(idx(0x0b, {2}, std::string("\x01\x02\xff\xfe", 4)), DType::i16, {2}, {258, -2});
  check(idx(0x0c, {}, std::string("\x00\x01\x00\x00", 4)), DType::i32, {}, {65536});
  check(idx(0x0d, {1}, std::string("\x3f\xc0\x00\x00", 4)), DType::f32, {1}, {1.5});
  check(idx(0x0e, {1}, std::string("\xc0\x04\0\0\0\0\0\0", 8)), DType::f64, {1}, {-2.5});
  check(idx(0x08, {0, 28}, ""), DType::u8, {0, 28}, {});
}

TEST_CASE("idx: bad files") {
  CHECK_THAT(error_of(""), Contains("is not an IDX file"));
  CHECK_THAT(error_of("abcd"), Contains("is not an IDX file"));
  CHECK_THAT(error_of(idx(0x0a, {1}, "x")), Contains("unknown element type 0x0a"));
  CHECK_THAT(error_of(idx(0x08, {1, 1}, "").substr(0, 10)), Contains("is cut off in its header"));
  CHECK_THAT(error_of(idx(0x0c, {2}, "1234567")),
             Contains("is cut off: i32[2] takes 8 bytes, it has 7"));
  CHECK_THAT(error_of(idx(0x08, {2}, "123")), Contains("has bytes after its u8[2]"));
  // 2^32 bytes are claimed; only the 3 that are there are read.
  CHECK_THAT(error_of(idx(0x08, {65536, 65536}, "123")),
             Contains("u8[65536, 65536] takes 4294967296 bytes, it has 3"));
  CHECK_THAT(error_of(idx(0x08, {4294967295, 4294967295, 4294967295}, "")),
             Contains("which is too large"));
}

TEST_CASE("idx: a damaged archive") {
  TemporaryFolder folder;
  std::string data;
  for (int i = 0; i < 20000; ++i) data += static_cast<char>(i * i >> 3);
  write_gzip(folder / "a", idx(0x08, {20000}, data));
  const std::string good = read_text(folder / "a");
  CHECK(load_idx(folder / "a").count() == 20000);
  const auto error = [&](const std::string& bytes) {
    write_text(folder / "a", bytes);
    return error_text<UserError>([&] { load_idx(folder / "a"); });
  };
  CHECK_THAT(error(good.substr(0, good.size() / 2)), Contains("is damaged: "));
  std::string flipped = good;
  flipped[good.size() / 2] = static_cast<char>(flipped[good.size() / 2] ^ 0x55);
  CHECK_THAT(error(flipped), Contains("is damaged: "));
}

TEST_CASE("idx: Fashion-MNIST") {
  const std::filesystem::path folder = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(folder)) PLAIT_SKIP("dataset-fashion-mnist is not installed");
  const Array images = load_idx(folder / "t10k-images-idx3-ubyte.gz");
  const Array labels = load_idx(folder / "t10k-labels-idx1-ubyte.gz");
  CHECK(images.shape == std::vector<int64_t>{10000, 28, 28});
  REQUIRE(labels.shape == std::vector<int64_t>{10000});
  std::vector<int> counts(10);
  for (int64_t i = 0; i < 10000; ++i) ++counts.at(labels.data<uint8_t>()[i]);
  CHECK(counts == std::vector<int>(10, 1000));
}
