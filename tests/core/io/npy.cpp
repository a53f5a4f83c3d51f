#include "core/io/npy.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "tests/core/io/arrays.h"
#include "tests/support/error_text.h"
#include "tests/support/temporary_folder.h"

using namespace plait;
using Catch::Matchers::Contains;

namespace {

// A version 1 file: `header` is the Python dict, padded here.
std::string npy(std::string header, const std::string& data) {
  header += '\n';
  std::string text = "\x93NUMPY";
  text += {'\x01', '\x00', static_cast<char>(header.size() % 256),
           static_cast<char>(header.size() / 256)};
  return text + header + data;
}

std::string error_of(const std::string& bytes) {
  TemporaryFolder folder;
  write_text(folder / "a.npy", bytes);
  const std::string text = error_text<UserError>([&] { load_npy(folder / "a.npy"); });
  CHECK_THAT(text, Contains("[load_npy] '" + (folder / "a.npy").string() + "'"));
  return text;
}

Array load(const std::string& bytes) {
  TemporaryFolder folder;
  write_text(folder / "a.npy", bytes);
  return load_npy(folder / "a.npy");
}

}  // namespace

TEST_CASE("npy: every dtype and rank comes back") {
  TemporaryFolder folder;
  for (DType dtype : kAllDTypes) {
    for (const auto& shape : std::vector<std::vector<int64_t>>{
             {}, {0}, {1}, {7}, {3, 5}, {2, 0, 3}, {1, 2, 1, 3, 1, 2}}) {
      const Array array = sample_array(dtype, shape);
      save_npy(folder / "a.npy", array);
      CHECK(same(load_npy(folder / "a.npy"), array));
    }
  }
}

TEST_CASE("npy: the bytes are NumPy's") {
  TemporaryFolder folder;
  save_npy(folder / "a.npy", sample_array(DType::bf16, {3}));
  const std::string text = read_text(folder / "a.npy");
  CHECK(text.size() == 128 + 6);
  CHECK(text.substr(0, 8) == std::string("\x93NUMPY\x01\x00", 8));
  CHECK(text.substr(10, 60) == "{'descr': '<V2', 'fortran_order': False, 'shape': (3,), }   ");
  CHECK(text[127] == '\n');
}

TEST_CASE("npy: column-major and big-endian files are converted") {
  const Array array = load(npy("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3)}",
                               std::string("\0\1\0\2\0\3\0\4\0\5\1\6", 12)));
  CHECK(array.dtype == DType::i16);
  CHECK(array.shape == std::vector<int64_t>{2, 3});
  const int16_t expected[] = {1, 3, 5, 2, 4, 0x106};
  for (int64_t i = 0; i < 6; ++i) CHECK(array.data<int16_t>()[i] == expected[i]);
}

TEST_CASE("npy: headers other writers make") {
  const std::string dict = "{\"shape\": (2L,), 'fortran_order':False,'descr':'=i1' }  ";
  CHECK(load(npy(dict, "ab")).shape == std::vector<int64_t>{2});
  // Version 2 has a header length of four bytes.
  const std::string header = "{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }\n";
  std::string bytes = "\x93NUMPY";
  bytes += {'\x02', '\x00', static_cast<char>(header.size()), '\0', '\0', '\0'};
  const Array array = load(bytes + header + std::string("\x00\x01\x80", 3));
  CHECK(array.data<uint8_t>()[1] == 1);
  CHECK(array.data<uint8_t>()[2] == 1);  // any other byte than 0 is true
}

TEST_CASE("npy: bad files") {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  CHECK(load(npy(good, "01234567")).shape == std::vector<int64_t>{2});
  CHECK_THAT(error_of(""), Contains("is not a .npy file"));
  CHECK_THAT(error_of("PK\x03\x04 an archive"), Contains("is not a .npy file"));
  CHECK_THAT(error_of(npy(good, "0123456")),
             Contains("wrong size: f32[2] takes 8 bytes; the file has 7 after its header"));
  CHECK_THAT(error_of(npy(good, "012345678")), Contains("the file has 9 after its header"));
  CHECK_THAT(error_of(npy(good, "01234567").substr(0, 40)),
             Contains("is cut off: its header takes 58 bytes, the file has 40"));
  CHECK_THAT(error_of(std::string("\x93NUMPY\x04\x00\x00\x00    ", 14)),
             Contains("has format version 4; versions 1 to 3 can be read"));
  CHECK_THAT(
      error_of(std::string("\x93NUMPY\x02\x00\x00\x00\x20\x00", 12) + std::string(2 << 20, ' ')),
      Contains("has a header of 2097152 bytes; at most 1048576 are read"));

  const auto header_error = [](const std::string& header) { return error_of(npy(header, "")); };
  CHECK_THAT(header_error("[1, 2]"), Contains("has a bad header: expected '{' before '[1, 2]"));
  CHECK_THAT(header_error("{'descr': '<f4', 'fortran_order': False}"),
             Contains("a key is missing; needs 'descr', 'fortran_order' and 'shape'"));
  CHECK_THAT(header_error("{'descr': '<f4', 'descr': '<f8'}"), Contains("'descr' is given twice"));
  CHECK_THAT(header_error("{'color': 1}"), Contains("unknown key 'color'"));
  CHECK_THAT(header_error("{'descr': [('a', '<f4')]}"),
             Contains("structured dtypes are not supported"));
  CHECK_THAT(header_error("{'descr': 3}"), Contains("expected a string before '3}"));
  CHECK_THAT(header_error("{'fortran_order': 0}"), Contains("neither True nor False"));
  CHECK_THAT(header_error("{'shape': (x,)}"), Contains("'shape' is not a tuple of integers"));
  CHECK_THAT(header_error("{'shape': (99999999999999999999,)}"), Contains("is too large"));
  CHECK_THAT(header_error("{'descr': '<f4'} x"), Contains("text after the closing brace"));
  CHECK_THAT(header_error("{'descr': '<c8', 'fortran_order': False, 'shape': ()}"),
             Contains("has dtype '<c8', which is not supported. hint: convert it to one of bool"));
  CHECK_THAT(header_error("{'descr': '', 'fortran_order': False, 'shape': ()}"),
             Contains("has dtype ''"));
  for (const char* shape : {"-1,", "4611686018427387904, 4", "0, 4611686018427387904, 4"}) {
    CHECK_THAT(header_error(
                   fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({})}}", shape)),
               Contains("has a negative or too large shape"));
  }
}
