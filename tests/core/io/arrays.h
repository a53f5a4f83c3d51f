// Arrays for the tests of file formats.
#pragma once

#include <cstring>
#include <fstream>
#include <string>

#include "core/io/file.h"
#include "core/slot.h"

namespace plait {

// Each byte differs from its neighbours; booleans are 0 and 1.
inline Array sample_array(DType dtype, std::vector<int64_t> shape) {
  Array array = Array::empty(dtype, std::move(shape));
  auto* bytes = array.data<uint8_t>();
  for (size_t i = 0; i < array.bytes(); ++i) {
    bytes[i] = static_cast<uint8_t>(dtype == DType::boolean ? i % 2 : i * 37 + 11);
  }
  return array;
}

inline bool same(const Array& a, const Array& b) {
  return a.dtype == b.dtype && a.shape == b.shape &&
         std::memcmp(a.buffer->data(), b.buffer->data(), a.bytes()) == 0;
}

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_text(const std::filesystem::path& path) {
  const auto bytes = read_file("test", path);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace plait
