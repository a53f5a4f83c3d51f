#include "core/io/npy.h"

#include <bit>
#include <charconv>
#include <cstring>

#include "core/error.h"
#include "core/io/array_bytes.h"
#include "core/io/file.h"

namespace plait {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr const char* kLoad = "load_npy";
constexpr const char* kSave = "save_npy";
constexpr std::string_view kMagic = "\x93NUMPY";
constexpr uint32_t kMaxHeader = 1 << 20;

struct Code {
  std::string_view text;  // without the byte order
  DType dtype;
};
constexpr Code kCodes[] = {{"b1", DType::boolean}, {"i1", DType::i8},  {"u1", DType::u8},
                           {"i2", DType::i16},     {"i4", DType::i32}, {"i8", DType::i64},
                           {"u4", DType::u32},     {"u8", DType::u64}, {"f2", DType::f16},
                           {"V2", DType::bf16},    {"f4", DType::f32}, {"f8", DType::f64}};

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

// Parses the Python dict literal of a header: the three keys, in any order.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& file) : rest_(text), file_(file) {}

  Header parse() {
    Header header;
    bool have_descr = false, have_order = false, have_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = string_literal();
      expect(':');
      if (key == "descr") {
        take_once(key, have_descr);
        header.descr = descr();
      } else if (key == "fortran_order") {
        take_once(key, have_order);
        header.fortran_order = boolean();
      } else if (key == "shape") {
        take_once(key, have_shape);
        header.shape = shape();
      } else {
        fail("unknown key '" + key + "'");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!rest_.empty()) fail("text after the closing brace");
    if (!have_descr || !have_order || !have_shape) {
      fail("a key is missing; needs 'descr', 'fortran_order' and 'shape'");
    }
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw UserError(fmt::format("[{}] '{}' has a bad header: {}", kLoad, file_, why));
  }
  void take_once(const std::string& key, bool& have) const {
    if (have) fail("key '" + key + "' is given twice");
    have = true;
  }

  void skip_space() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n' || rest_[0] == '\t')) {
      rest_.remove_prefix(1);
    }
  }
  bool accept(char c) {
    skip_space();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (accept(c)) return;
    fail(fmt::format("expected '{}' before '{}'", c, rest_.substr(0, 20)));
  }
  bool accept_word(std::string_view word) {
    skip_space();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  std::string string_literal() {
    skip_space();
    const char quote = rest_.empty() ? '\0' : rest_[0];
    const size_t end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : std::string::npos;
    if (end == std::string::npos) {
      fail(fmt::format("expected a string before '{}'", rest_.substr(0, 20)));
    }
    std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }
  std::string descr() {
    skip_space();
    if (rest_.starts_with('[')) fail("structured dtypes are not supported");
    return string_literal();
  }
  bool boolean() {
    if (accept_word("True")) return true;
    if (accept_word("False")) return false;
    fail("'fortran_order' is neither True nor False");
  }
  std::vector<int64_t> shape() {
    std::vector<int64_t> extents;
    expect('(');
    while (!accept(')')) {
      skip_space();
      int64_t extent = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), extent);
      if (error == std::errc::result_out_of_range) fail("an extent of 'shape' is too large");
      if (error != std::errc()) fail("'shape' is not a tuple of integers");
      rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
      if (rest_.starts_with('L')) rest_.remove_prefix(1);  // written by Python 2
      extents.push_back(extent);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return extents;
  }

  std::string_view rest_;
  const std::string& file_;
};

DType parse_descr(const std::string& descr, const std::string& file) {
  const std::string_view code = std::string_view(descr).substr(descr.empty() ? 0 : 1);
  const bool ordered =
      !descr.empty() && std::string_view("<>|=").find(descr[0]) != std::string::npos;
  for (const Code& known : kCodes) {
    if (ordered && known.text == code) return known.dtype;
  }
  std::string names;
  for (DType dtype : kAllDTypes)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", dtype_name(dtype));
  throw UserError(
      fmt::format("[{}] '{}' has dtype '{}', which is not supported. hint: convert it to one of {}",
                  kLoad, file, descr, names));
}

std::string make_header(const Array& array) {
  std::string_view code;
  for (const Code& known : kCodes) {
    if (known.dtype == array.dtype) code = known.text;
  }
  std::string shape;
  for (int64_t extent : array.shape) shape += fmt::format("{}, ", extent);
  if (array.shape.size() > 1) shape.resize(shape.size() - 2);  // "(3,)" but "(3, 4)"
  if (array.shape.size() == 1) shape.resize(shape.size() - 1);
  const char order = dtype_size(array.dtype) == 1 ? '|' : '<';
  std::string text = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}",
                                 order, code, shape);
  // Magic, version and length take ten bytes; the data starts at a multiple of 64.
  const size_t total = (10 + text.size() + 1 + 63) / 64 * 64;
  text.resize(total - 10 - 1, ' ');
  return text + '\n';
}

}  // namespace

Array load_npy(const std::filesystem::path& path) {
  const std::string file = path.string();
  const InputFile input(kLoad, path);
  std::byte start[12] = {};
  input.read(0, std::span(start).first(std::min<uint64_t>(sizeof start, input.size())));
  PLAIT_CHECK(input.size() >= 10 && std::memcmp(start, kMagic.data(), kMagic.size()) == 0, kLoad,
              "'{}' is not a .npy file", file);
  const int version = std::to_integer<int>(start[6]);
  PLAIT_CHECK(version >= 1 && version <= 3, kLoad,
              "'{}' has format version {}; versions 1 to 3 can be read", file, version);
  uint32_t length = 0;
  const size_t length_size = version == 1 ? 2 : 4;
  std::memcpy(&length, start + 8, length_size);
  const uint64_t header_start = 8 + length_size;
  PLAIT_CHECK(header_start <= input.size() && length <= input.size() - header_start, kLoad,
              "'{}' is cut off: its header takes {} bytes, the file has {}", file, length,
              input.size());
  PLAIT_CHECK(length <= kMaxHeader, kLoad, "'{}' has a header of {} bytes; at most {} are read",
              file, length, kMaxHeader);
  std::string text(length, '\0');
  input.read(header_start, std::as_writable_bytes(std::span(text)));

  const Header header = HeaderParser(text, file).parse();
  const DType dtype = parse_descr(header.descr, file);
  const auto bytes = checked_bytes(dtype, header.shape);
  const uint64_t data_start = header_start + length;
  PLAIT_CHECK(bytes, kLoad, "'{}' has a negative or too large shape: [{}]", file,
              fmt::join(header.shape, ", "));
  PLAIT_CHECK(*bytes == input.size() - data_start, kLoad,
              "'{}' has the wrong size: {}[{}] takes {} bytes; the file has {} after its header",
              file, dtype_name(dtype), fmt::join(header.shape, ", "), *bytes,
              input.size() - data_start);

  Array array = Array::empty(dtype, header.shape);
  const std::span<std::byte> data(array.data<std::byte>(), *bytes);
  input.read(data_start, data);
  if (header.descr[0] == '>') swap_byte_order(data, dtype_size(dtype));
  normalise_booleans(array);
  return header.fortran_order ? from_column_major(array) : array;
}

void save_npy(const std::filesystem::path& path, const Array& array) {
  const std::string header = make_header(array);
  PLAIT_CHECK(header.size() <= 0xffff, kSave, "too many axes for a .npy file: {}",
              array.shape.size());
  const uint16_t length = static_cast<uint16_t>(header.size());
  AtomicFile file(kSave, path);
  file.write(kMagic);
  file.write(std::string_view("\x01\x00", 2));
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  file.write(std::span<const std::byte>(array.data<std::byte>(), array.bytes()));
  file.commit();
}

}  // namespace plait
