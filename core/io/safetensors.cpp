#include "core/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"
#include "core/io/array_bytes.h"
#include "core/nearest.h"

namespace plait {
namespace {

static_assert(std::endian::native == std::endian::little);

using nlohmann::ordered_json;

constexpr const char* kLoad = "load_safetensors";
constexpr const char* kSave = "save_safetensors";
constexpr const char* kMetadataKey = "__metadata__";
// The format's own limit.
constexpr uint64_t kMaxHeader = 100'000'000;
// Header objects nest three deep: the file, a tensor, its lists.
constexpr int kMaxDepth = 3;

struct Code {
  const char* text;
  DType dtype;
};
constexpr Code kCodes[] = {{"BOOL", DType::boolean}, {"I8", DType::i8},   {"U8", DType::u8},
                           {"I16", DType::i16},      {"I32", DType::i32}, {"I64", DType::i64},
                           {"U32", DType::u32},      {"U64", DType::u64}, {"F16", DType::f16},
                           {"BF16", DType::bf16},    {"F32", DType::f32}, {"F64", DType::f64}};

const char* code_of(DType dtype) {
  for (const Code& code : kCodes) {
    if (code.dtype == dtype) return code.text;
  }
  PLAIT_UNREACHABLE("dtype {}", static_cast<int>(dtype));
}

// Parses a header; refuses what JSON parsers commonly let pass: a key twice, deep nesting.
ordered_json parse_header(const std::string& text, const std::string& file) {
  std::vector<std::set<std::string>> keys;  // of the objects being parsed
  const auto check = [&](int depth, ordered_json::parse_event_t event, ordered_json& value) {
    PLAIT_CHECK(depth <= kMaxDepth, kLoad, "'{}' has a bad header: JSON nested deeper than {}",
                file, kMaxDepth);
    switch (event) {
      case ordered_json::parse_event_t::object_start:
        keys.emplace_back();
        break;
      case ordered_json::parse_event_t::object_end:
        keys.pop_back();
        break;
      case ordered_json::parse_event_t::key: {
        const auto& key = value.get_ref<const std::string&>();
        PLAIT_CHECK(keys.back().insert(key).second, kLoad,
                    "'{}' has a bad header: '{}' is given twice", file, key);
        break;
      }
      case ordered_json::parse_event_t::array_start:
      case ordered_json::parse_event_t::array_end:
      case ordered_json::parse_event_t::value:
        break;
    }
    return true;
  };
  try {
    return ordered_json::parse(text, check);
  } catch (const ordered_json::exception& error) {
    throw UserError(fmt::format("[{}] '{}' has a bad header: {}", kLoad, file, error.what()));
  }
}

// The description of one tensor: exactly dtype, shape and data_offsets.
class EntryParser {
 public:
  EntryParser(const std::string& file, const std::string& name, const ordered_json& json,
              uint64_t data_bytes)
      : file_(file), name_(name), json_(json), data_bytes_(data_bytes) {}

  SafetensorsFile::Entry parse() const {
    if (!json_.is_object()) fail("its description is not an object");
    for (const auto& [key, value] : json_.items()) {
      if (key != "dtype" && key != "shape" && key != "data_offsets") {
        fail("unknown key '{}' in its description", key);
      }
    }
    SafetensorsFile::Entry entry{name_, dtype(), {}, 0, 0};
    for (uint64_t extent : integers("shape")) {
      if (extent > static_cast<uint64_t>(INT64_MAX)) fail("extent {} is too large", extent);
      entry.shape.push_back(static_cast<int64_t>(extent));
    }
    const auto offsets = integers("data_offsets");
    if (offsets.size() != 2) fail("needs two data_offsets; got {}", offsets.size());
    entry.begin = offsets[0];
    entry.end = offsets[1];
    if (entry.begin > entry.end) {
      fail("data_offsets end before they begin: [{}, {}]", entry.begin, entry.end);
    }
    if (entry.end > data_bytes_) {
      fail("data_offsets [{}, {}] leave the file, which has {} bytes of data", entry.begin,
           entry.end, data_bytes_);
    }
    const auto bytes = checked_bytes(entry.dtype, entry.shape);
    if (!bytes) fail("shape [{}] is too large", fmt::join(entry.shape, ", "));
    if (*bytes != entry.end - entry.begin) {
      fail("{}[{}] takes {} bytes; data_offsets [{}, {}] give {}", dtype_name(entry.dtype),
           fmt::join(entry.shape, ", "), *bytes, entry.begin, entry.end, entry.end - entry.begin);
    }
    return entry;
  }

 private:
  template <class... Arguments>
  [[noreturn]] void fail(fmt::format_string<Arguments...> text, Arguments&&... arguments) const {
    throw UserError(fmt::format("[{}] '{}', tensor '{}': {}", kLoad, file_, name_,
                                fmt::format(text, std::forward<Arguments>(arguments)...)));
  }

  const ordered_json& field(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) fail("'{}' is missing", key);
    return *found;
  }

  DType dtype() const {
    const ordered_json& value = field("dtype");
    if (!value.is_string()) fail("'dtype' is not a string");
    const auto& text = value.get_ref<const std::string&>();
    std::string known;
    for (const Code& code : kCodes) {
      if (code.text == text) return code.dtype;
      known += fmt::format("{}{}", known.empty() ? "" : ", ", code.text);
    }
    fail("dtype '{}' is not supported; supported are {}", text, known);
  }

  std::vector<uint64_t> integers(const char* key) const {
    const ordered_json& list = field(key);
    if (!list.is_array()) fail("'{}' is not a list", key);
    std::vector<uint64_t> numbers;
    for (const ordered_json& number : list) {
      // Also numbers that leave 64 bits: JSON parsers make them floats.
      if (!number.is_number_unsigned()) {
        fail("'{}' holds {}, which is not an integer from 0 to 2^64 - 1", key, number.dump());
      }
      numbers.push_back(number.get<uint64_t>());
    }
    return numbers;
  }

  const std::string& file_;
  const std::string& name_;
  const ordered_json& json_;
  uint64_t data_bytes_;
};

Metadata parse_metadata(const std::string& file, const ordered_json& json) {
  PLAIT_CHECK(json.is_object(), kLoad, "'{}' has a bad header: '{}' is not an object", file,
              kMetadataKey);
  Metadata metadata;
  for (const auto& [key, value] : json.items()) {
    PLAIT_CHECK(value.is_string(), kLoad,
                "'{}' has a bad header: the value of '{}' in '{}' is not a string", file, key,
                kMetadataKey);
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

// In order of their data, the tensors must follow each other without a gap, up to the end.
void check_coverage(const std::string& file, const std::vector<SafetensorsFile::Entry>& entries,
                    uint64_t data_bytes) {
  uint64_t end = 0;
  const std::string* former = nullptr;
  for (const auto& entry : entries) {
    PLAIT_CHECK(
        entry.begin >= end, kLoad,
        "'{}', tensor '{}': its data [{}, {}] overlaps that of tensor '{}', which ends at {}", file,
        entry.name, entry.begin, entry.end, former ? *former : "", end);
    PLAIT_CHECK(entry.begin == end, kLoad,
                "'{}', tensor '{}': {} bytes before its data [{}, {}] belong to no tensor", file,
                entry.name, entry.begin - end, entry.begin, entry.end);
    end = entry.end;
    former = &entry.name;
  }
  PLAIT_CHECK(end == data_bytes, kLoad, "'{}' has {} bytes after its last tensor, which ends at {}",
              file, data_bytes - end, end);
}

std::string make_header(const std::vector<const NamedArray*>& tensors, const Metadata& metadata) {
  ordered_json header = ordered_json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  uint64_t offset = 0;
  for (const NamedArray* tensor : tensors) {
    const Array& array = tensor->array;
    ordered_json entry;
    entry["dtype"] = code_of(array.dtype);
    entry["shape"] = array.shape;
    entry["data_offsets"] = {offset, offset + array.bytes()};
    offset += array.bytes();
    // Not operator[], which searches all keys each time.
    header.get_ref<ordered_json::object_t&>().emplace_back(tensor->name, std::move(entry));
  }
  try {
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return text;
  } catch (const ordered_json::exception& error) {
    throw UserError(fmt::format("[{}] a name or a metadata string is not valid UTF-8: {}", kSave,
                                error.what()));
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(kLoad, path) {
  const std::string name = path.string();
  uint64_t length = 0;
  PLAIT_CHECK(file_.size() >= sizeof length, kLoad,
              "'{}' is not a safetensors file: it has {} bytes, a header length takes {}", name,
              file_.size(), sizeof length);
  file_.read(0, std::as_writable_bytes(std::span(&length, 1)));
  PLAIT_CHECK(length <= kMaxHeader, kLoad,
              "'{}' is not a safetensors file: its header would take {} bytes, at most {} are "
              "allowed",
              name, length, kMaxHeader);
  PLAIT_CHECK(length <= file_.size() - sizeof length, kLoad,
              "'{}' is cut off: its header takes {} bytes, the file has {} after the length", name,
              length, file_.size() - sizeof length);
  data_start_ = sizeof length + length;
  std::string text(length, '\0');
  file_.read(sizeof length, std::as_writable_bytes(std::span(text)));

  const ordered_json header = parse_header(text, name);
  PLAIT_CHECK(header.is_object(), kLoad, "'{}' has a bad header: not a JSON object", name);
  const uint64_t data_bytes = file_.size() - data_start_;
  for (const auto& [key, value] : header.items()) {
    if (key == kMetadataKey) {
      metadata_ = parse_metadata(name, value);
    } else {
      entries_.push_back(EntryParser(name, key, value, data_bytes).parse());
    }
  }
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  check_coverage(name, entries_, data_bytes);
  for (size_t i = 0; i < entries_.size(); ++i) by_name_[entries_[i].name] = i;
}

const SafetensorsFile::Entry* SafetensorsFile::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

Array SafetensorsFile::read(std::string_view name) const {
  const Entry* entry = find(name);
  if (!entry) {
    std::vector<std::string_view> names;
    for (const Entry& known : entries_) names.push_back(known.name);
    throw UserError(fmt::format("[{}] '{}' has no tensor '{}'. hint: {}", kLoad,
                                file_.path().string(), name, nearest_names(name, names)));
  }
  return read(*entry);
}

Array SafetensorsFile::read(const Entry& entry) const {
  Array array = Array::empty(entry.dtype, entry.shape);
  file_.read(data_start_ + entry.begin, {array.data<std::byte>(), array.bytes()});
  normalise_booleans(array);
  return array;
}

void save_safetensors(const std::filesystem::path& path, const std::vector<NamedArray>& tensors,
                      const Metadata& metadata) {
  std::vector<const NamedArray*> sorted;
  for (const NamedArray& tensor : tensors) {
    PLAIT_CHECK(tensor.name != kMetadataKey, kSave, "a tensor may not be called '{}'",
                kMetadataKey);
    sorted.push_back(&tensor);
  }
  std::sort(sorted.begin(), sorted.end(), [](const NamedArray* a, const NamedArray* b) {
    const size_t size_a = dtype_size(a->array.dtype), size_b = dtype_size(b->array.dtype);
    return size_a != size_b ? size_a > size_b : a->name < b->name;
  });
  std::set<std::string_view> names;
  for (const NamedArray* tensor : sorted) {
    PLAIT_CHECK(names.insert(tensor->name).second, kSave, "two tensors are called '{}'",
                tensor->name);
  }

  const std::string header = make_header(sorted, metadata);
  PLAIT_CHECK(header.size() <= kMaxHeader, kSave,
              "the header takes {} bytes, the format allows {}: fewer tensors or less metadata",
              header.size(), kMaxHeader);
  const uint64_t length = header.size();
  AtomicFile file(kSave, path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  for (const NamedArray* tensor : sorted) {
    file.write({tensor->array.data<std::byte>(), tensor->array.bytes()});
  }
  file.commit();
}

}  // namespace plait
