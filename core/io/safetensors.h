// The safetensors format: named arrays and a map of strings in one file.
//
// A file is 8 bytes with the length of the header, the header in JSON, and the data. Nothing in a
// file is trusted: every length, offset, extent and name is checked before it is used, and each
// byte of the data must belong to exactly one tensor.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/file.h"
#include "core/slot.h"

namespace plait {

struct NamedArray {
  std::string name;
  Array array;
};

using Metadata = std::map<std::string, std::string>;

// An open file whose header has been checked; tensors are read one by one.
class SafetensorsFile {
 public:
  struct Entry {
    std::string name;
    DType dtype;
    std::vector<int64_t> shape;
    uint64_t begin, end;  // bytes, from the start of the data
  };

  // UserError names the file, the tensor and the numbers that do not fit.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::vector<Entry>& entries() const { return entries_; }  // in order of their data
  const Metadata& metadata() const { return metadata_; }
  bool contains(std::string_view name) const { return find(name) != nullptr; }
  Array read(std::string_view name) const;  // UserError lists the nearest names
  Array read(const Entry& entry) const;

 private:
  const Entry* find(std::string_view name) const;

  InputFile file_;
  uint64_t data_start_ = 0;
  std::vector<Entry> entries_;
  std::map<std::string, size_t, std::less<>> by_name_;
  Metadata metadata_;
};

// Written atomically (file.h). The bytes depend on the tensors and the metadata only, not on the
// order of `tensors`: data is sorted by falling element size, then by name, so that each tensor is
// aligned to its elements.
void save_safetensors(const std::filesystem::path& path, const std::vector<NamedArray>& tensors,
                      const Metadata& metadata = {});

}  // namespace plait
