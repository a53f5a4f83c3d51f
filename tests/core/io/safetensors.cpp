#include "core/io/safetensors.h"

#include <catch2/catch.hpp>
#include <random>

#include "core/error.h"
#include "tests/core/io/arrays.h"
#include "tests/support/error_text.h"
#include "tests/support/temporary_folder.h"

using namespace plait;
using Catch::Matchers::Contains;

namespace {

std::string length_prefix(uint64_t length) {
  return std::string(reinterpret_cast<const char*>(&length), sizeof length);
}

std::string file_bytes(const std::string& header, size_t data_bytes) {
  return length_prefix(header.size()) + header + std::string(data_bytes, 'x');
}

// What loading says about a file that is only a header and `data_bytes` bytes.
std::string error_of_bytes(const std::string& bytes) {
  TemporaryFolder folder;
  write_text(folder / "a", bytes);
  const std::string text = error_text<UserError>([&] { SafetensorsFile(folder / "a"); });
  CHECK_THAT(text, Contains("[load_safetensors] '" + (folder / "a").string() + "'"));
  return text;
}
std::string error_of(const std::string& header, size_t data_bytes) {
  return error_of_bytes(file_bytes(header, data_bytes));
}

// The description of a tensor.
std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{}]}})", name, dtype,
                     shape, offsets);
}

}  // namespace

TEST_CASE("safetensors: every dtype and shape comes back, with metadata") {
  TemporaryFolder folder;
  std::vector<NamedArray> tensors;
  for (DType dtype : kAllDTypes) {
    tensors.push_back({fmt::format("{}.scalar", dtype_name(dtype)), sample_array(dtype, {})});
    tensors.push_back(
        {fmt::format("{}.ü \"x\"\n", dtype_name(dtype)), sample_array(dtype, {3, 5})});
    tensors.push_back({fmt::format("{}.empty", dtype_name(dtype)), sample_array(dtype, {0, 4})});
  }
  const Metadata metadata = {{"step", "17"}, {"ü", "\t\"quoted\""}};
  save_safetensors(folder / "a", tensors, metadata);
  const SafetensorsFile file(folder / "a");
  CHECK(file.metadata() == metadata);
  REQUIRE(file.entries().size() == tensors.size());
  for (const NamedArray& tensor : tensors) CHECK(same(file.read(tensor.name), tensor.array));
}

TEST_CASE("safetensors: bytes do not depend on the order, and data is aligned") {
  TemporaryFolder folder;
  std::vector<NamedArray> tensors = {{"b", sample_array(DType::i8, {3})},
                                     {"c", sample_array(DType::f64, {1})},
                                     {"a", sample_array(DType::bf16, {5})},
                                     {"d", sample_array(DType::f32, {1})}};
  save_safetensors(folder / "a", tensors);
  std::reverse(tensors.begin(), tensors.end());
  save_safetensors(folder / "b", tensors);
  const std::string bytes = read_text(folder / "a");
  CHECK(bytes == read_text(folder / "b"));
  CHECK(static_cast<uint8_t>(bytes[0]) % 8 == 0);
  const SafetensorsFile file(folder / "a");
  for (const auto& entry : file.entries()) CHECK(entry.begin % dtype_size(entry.dtype) == 0);
}

TEST_CASE("safetensors: nothing at all, and only metadata") {
  TemporaryFolder folder;
  save_safetensors(folder / "a", {});
  CHECK(SafetensorsFile(folder / "a").entries().empty());
  save_safetensors(folder / "a", {}, {{"k", "v"}});
  CHECK(SafetensorsFile(folder / "a").metadata().at("k") == "v");
}

TEST_CASE("safetensors: any order of keys in the header, blanks around it, and odd booleans") {
  TemporaryFolder folder;
  const std::string header = "{" + entry("late", "BOOL", "2", "2,4") + "," +
                             entry("early", "U8", "2,1", "0,2") + R"(,"__metadata__":{}}   )";
  write_text(folder / "a", file_bytes(header, 4));
  const SafetensorsFile file(folder / "a");
  CHECK(file.entries()[0].name == "early");
  CHECK(file.read("late").data<uint8_t>()[1] == 1);
}

TEST_CASE("safetensors: bad lengths") {
  CHECK_THAT(error_of_bytes(""), Contains("it has 0 bytes, a header length takes 8"));
  CHECK_THAT(error_of_bytes("1234567"), Contains("it has 7 bytes"));
  CHECK_THAT(error_of_bytes(length_prefix(3) + "{}"),
             Contains("is cut off: its header takes 3 bytes, the file has 2 after the length"));
  CHECK_THAT(error_of_bytes(length_prefix(~uint64_t{0}) + "{}"),
             Contains("its header would take 18446744073709551615 bytes, at most 100000000"));
  CHECK_THAT(error_of_bytes(length_prefix(100'000'001) + "{}"), Contains("at most 100000000"));
  CHECK_THAT(error_of_bytes(length_prefix(100'000'000) + "{}"), Contains("is cut off"));
  CHECK_THAT(error_of_bytes(length_prefix(0)), Contains("has a bad header"));
}

TEST_CASE("safetensors: bad headers") {
  const std::string a = entry("a", "F32", "2", "0,8");
  CHECK_THAT(error_of("{", 0), Contains("has a bad header"));
  CHECK_THAT(error_of("[]", 0), Contains("has a bad header: not a JSON object"));
  CHECK_THAT(error_of("{} {}", 0), Contains("has a bad header"));
  CHECK_THAT(error_of("{\"\xff\":1}", 0), Contains("has a bad header"));
  CHECK_THAT(error_of("{" + a + "," + a + "}", 8), Contains("bad header: 'a' is given twice"));
  CHECK_THAT(error_of(R"({"a":{"dtype":"F32","dtype":"F64"}})", 0),
             Contains("bad header: 'dtype' is given twice"));
  CHECK_THAT(error_of("{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}", 0),
             Contains("JSON nested deeper than 3"));
  CHECK_THAT(error_of(R"({"__metadata__":{"a":1}})", 0),
             Contains("the value of 'a' in '__metadata__' is not a string"));
  CHECK_THAT(error_of(R"({"__metadata__":"a"})", 0), Contains("'__metadata__' is not an object"));
}

TEST_CASE("safetensors: bad tensors") {
  const auto error = [](const std::string& tensor, size_t data_bytes) {
    const std::string text = error_of("{" + tensor + "}", data_bytes);
    CHECK_THAT(text, Contains("tensor 'a': "));
    return text;
  };
  CHECK_THAT(error(R"("a":[])", 0), Contains("its description is not an object"));
  CHECK_THAT(error(R"("a":{"shape":[],"data_offsets":[0,4]})", 4), Contains("'dtype' is missing"));
  CHECK_THAT(error(R"("a":{"dtype":"F32","data_offsets":[0,4]})", 4),
             Contains("'shape' is missing"));
  CHECK_THAT(error(R"("a":{"dtype":"F32","shape":[]})", 4), Contains("'data_offsets' is missing"));
  CHECK_THAT(error(R"("a":{"dtype":"F32","shape":[],"strides":[]})", 4),
             Contains("unknown key 'strides'"));
  CHECK_THAT(error(R"("a":{"dtype":7,"shape":[],"data_offsets":[0,4]})", 4),
             Contains("'dtype' is not a string"));
  CHECK_THAT(error(entry("a", "F8_E5M2", "4", "0,4"), 4),
             Contains("dtype 'F8_E5M2' is not supported; supported are BOOL, I8,"));
  CHECK_THAT(error(R"("a":{"dtype":"F32","shape":4,"data_offsets":[0,4]})", 4),
             Contains("'shape' is not a list"));
  for (const char* extent : {"-1", "1.0", "1e3", "18446744073709551616", "\"1\"", "null"}) {
    CHECK_THAT(error(entry("a", "F32", extent, "0,4"), 4),
               Contains("'shape' holds") && Contains("not an integer from 0 to 2^64 - 1"));
    CHECK_THAT(error(entry("a", "F32", "1", std::string("0,") + extent), 4),
               Contains("'data_offsets' holds"));
  }
  CHECK_THAT(error(entry("a", "F32", "1", "0"), 4), Contains("needs two data_offsets; got 1"));
  CHECK_THAT(error(entry("a", "F32", "1", "4,0"), 4),
             Contains("data_offsets end before they begin: [4, 0]"));
  CHECK_THAT(error(entry("a", "F32", "2", "0,8"), 7),
             Contains("data_offsets [0, 8] leave the file, which has 7 bytes of data"));
  CHECK_THAT(error(entry("a", "F32", "3", "0,8"), 8),
             Contains("f32[3] takes 12 bytes; data_offsets [0, 8] give 8"));
  CHECK_THAT(error(entry("a", "F64", "", "0,4"), 4), Contains("f64[] takes 8 bytes"));
  CHECK_THAT(error(entry("a", "F32", "18446744073709551615", "0,4"), 4),
             Contains("extent 18446744073709551615 is too large"));
  // 2^62 * 4 * 4 bytes would wrap to 0.
  CHECK_THAT(error(entry("a", "F32", "4611686018427387904,4", "0,0"), 0), Contains("is too large"));
  CHECK_THAT(error(entry("a", "F32", "0,4611686018427387904,4", "0,0"), 0),
             Contains("is too large"));
}

TEST_CASE("safetensors: bytes that belong to two tensors or none") {
  const std::string a = entry("a", "U8", "4", "0,4");
  CHECK_THAT(error_of("{" + a + "," + entry("b", "U8", "4", "2,6") + "}", 6),
             Contains("tensor 'b': its data [2, 6] overlaps that of tensor 'a', which ends at 4"));
  CHECK_THAT(error_of("{" + a + "," + entry("b", "U8", "4", "0,4") + "}", 4),
             Contains("tensor 'b': its data [0, 4] overlaps"));
  CHECK_THAT(error_of("{" + a + "," + entry("b", "U8", "2", "6,8") + "}", 8),
             Contains("tensor 'b': 2 bytes before its data [6, 8] belong to no tensor"));
  CHECK_THAT(error_of("{" + a + "}", 9),
             Contains("5 bytes after its last tensor, which ends at 4"));
  CHECK_THAT(error_of("{}", 1), Contains("1 bytes after its last tensor"));
}

TEST_CASE("safetensors: a missing tensor") {
  TemporaryFolder folder;
  save_safetensors(folder / "a", {{"h.0.weight", sample_array(DType::f32, {1})}});
  const SafetensorsFile file(folder / "a");
  CHECK(file.contains("h.0.weight"));
  CHECK_THAT(error_text<UserError>([&] { file.read("h.0.wieght"); }),
             Contains("has no tensor 'h.0.wieght'. hint: did you mean 'h.0.weight'?"));
}

TEST_CASE("safetensors: what cannot be saved") {
  TemporaryFolder folder;
  const Array one = sample_array(DType::f32, {1});
  const auto error = [&](const std::vector<NamedArray>& tensors, const Metadata& metadata = {}) {
    return error_text<UserError>([&] { save_safetensors(folder / "a", tensors, metadata); });
  };
  CHECK_THAT(error({{"a", one}, {"a", one}}), Contains("two tensors are called 'a'"));
  // Of different element sizes they are not neighbours in the file.
  CHECK_THAT(error({{"a", one}, {"b", one}, {"a", sample_array(DType::i8, {1})}}),
             Contains("two tensors are called 'a'"));
  CHECK_THAT(error({{"__metadata__", one}}), Contains("may not be called '__metadata__'"));
  CHECK_THAT(error({{"\xff", one}}), Contains("is not valid UTF-8"));
  CHECK_THAT(error({}, {{"k", "\xff"}}), Contains("is not valid UTF-8"));
  CHECK(!std::filesystem::exists(folder / "a"));
}

TEST_CASE("safetensors: damaged files raise errors and nothing worse") {
  TemporaryFolder folder;
  save_safetensors(folder / "a",
                   {{"x", sample_array(DType::f32, {3})}, {"y", sample_array(DType::i64, {2, 2})}},
                   {{"k", "v"}});
  const std::string good = read_text(folder / "a");
  std::mt19937_64 random(1);
  int refused = 0;
  for (int trial = 0; trial < 1000; ++trial) {
    std::string bad = good;
    for (uint64_t edits = random() % 3 + 1; edits-- > 0;) {
      bad[random() % bad.size()] = static_cast<char>(random());
    }
    if (trial % 4 == 0) bad.resize(random() % bad.size());
    write_text(folder / "b", bad);
    try {
      const SafetensorsFile file(folder / "b");
      for (const auto& entry : file.entries()) file.read(entry);
    } catch (const UserError&) {
      ++refused;
    }
  }
  CHECK(refused > 300);
}
