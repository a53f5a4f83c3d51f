#include "core/io/idx.h"

#include <zlib.h>

#include <cstring>
#include <optional>

#include "core/error.h"
#include "core/io/array_bytes.h"
#include "core/io/file.h"

namespace plait {
namespace {

constexpr const char* kOp = "load_idx";
// Memory grows with the bytes that are really there, never with what a header claims.
constexpr size_t kChunk = size_t{4} << 20;

std::optional<DType> parse_code(uint8_t code) {
  switch (code) {
    case 0x08:
      return DType::u8;
    case 0x09:
      return DType::i8;
    case 0x0b:
      return DType::i16;
    case 0x0c:
      return DType::i32;
    case 0x0d:
      return DType::f32;
    case 0x0e:
      return DType::f64;
  }
  return std::nullopt;
}

// The bytes of a file, decompressed if it is gzipped.
class GzipInput {
 public:
  explicit GzipInput(const std::filesystem::path& path) : name_(path.string()) {
    const InputFile exists(kOp, path);  // for its error messages
    file_ = gzopen(path.c_str(), "rb");
    if (!file_) throw DeviceError(fmt::format("[{}] cannot open '{}'", kOp, name_));
  }
  ~GzipInput() { gzclose_r(file_); }
  GzipInput(const GzipInput&) = delete;
  GzipInput& operator=(const GzipInput&) = delete;

  // Up to `count` bytes; fewer at the end of the file.
  std::vector<std::byte> read(uint64_t count) {
    std::vector<std::byte> bytes;
    while (bytes.size() < count) {
      const size_t wanted = std::min<uint64_t>(kChunk, count - bytes.size());
      const size_t start = bytes.size();
      bytes.resize(start + wanted);
      const int got = gzread(file_, bytes.data() + start, static_cast<unsigned>(wanted));
      bytes.resize(start + static_cast<size_t>(std::max(got, 0)));
      check();
      if (static_cast<size_t>(got) < wanted) break;
    }
    return bytes;
  }

 private:
  void check() {
    int error = Z_OK;
    const char* text = gzerror(file_, &error);
    PLAIT_CHECK(error == Z_OK, kOp, "'{}' is damaged: {}", name_, text);
  }

  std::string name_;
  gzFile file_;
};

}  // namespace

Array load_idx(const std::filesystem::path& path) {
  const std::string name = path.string();
  GzipInput input(path);
  const auto magic = input.read(4);
  PLAIT_CHECK(magic.size() == 4 && magic[0] == std::byte{0} && magic[1] == std::byte{0}, kOp,
              "'{}' is not an IDX file", name);
  const auto dtype = parse_code(std::to_integer<uint8_t>(magic[2]));
  PLAIT_CHECK(dtype, kOp, "'{}' has the unknown element type {:#04x}", name,
              std::to_integer<int>(magic[2]));
  const size_t rank = std::to_integer<size_t>(magic[3]);
  auto extents = input.read(4 * rank);
  PLAIT_CHECK(extents.size() == 4 * rank, kOp, "'{}' is cut off in its header", name);
  swap_byte_order(extents, 4);
  std::vector<int64_t> shape(rank);
  for (size_t axis = 0; axis < rank; ++axis) {
    uint32_t extent;
    std::memcpy(&extent, extents.data() + 4 * axis, sizeof extent);
    shape[axis] = extent;
  }
  const auto bytes = checked_bytes(*dtype, shape);
  PLAIT_CHECK(bytes, kOp, "'{}' has the shape [{}], which is too large", name,
              fmt::join(shape, ", "));
  auto data = input.read(*bytes);
  PLAIT_CHECK(data.size() == *bytes, kOp, "'{}' is cut off: {}[{}] takes {} bytes, it has {}", name,
              dtype_name(*dtype), fmt::join(shape, ", "), *bytes, data.size());
  PLAIT_CHECK(input.read(1).empty(), kOp, "'{}' has bytes after its {}[{}]", name,
              dtype_name(*dtype), fmt::join(shape, ", "));
  swap_byte_order(data, dtype_size(*dtype));
  Array array = Array::empty(*dtype, shape);
  if (!data.empty()) std::memcpy(array.data<std::byte>(), data.data(), data.size());
  return array;
}

}  // namespace plait
