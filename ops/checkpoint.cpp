#include "ops/checkpoint.h"

#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>
#include <map>

#include "core/error.h"

namespace plait {
namespace {

constexpr std::string_view kChecksumPrefix = "crc32.";

std::string checksum(const Array& array) {
  uLong crc = crc32_z(0, nullptr, 0);
  crc = crc32_z(crc, array.data<Bytef>(), array.bytes());
  return fmt::format("{:08x}", crc);
}

std::map<std::string, const Slot*> by_name(std::string_view op, std::span<const NamedSlot> slots) {
  std::map<std::string, const Slot*> names;
  for (const NamedSlot& named : slots) {
    const bool added = names.emplace(named.name, named.slot.get()).second;
    PLAIT_CHECK(added, op, "two slots are named '{}'", named.name);
  }
  return names;
}

// "'a', 'b', 'c' and 4 more"
std::string listed(const std::vector<std::string>& names) {
  constexpr size_t kShown = 5;
  const size_t shown = std::min(names.size(), kShown);
  std::string text = fmt::format("'{}'", fmt::join(names.begin(), names.begin() + shown, "', '"));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

// All that is wrong with names, dtypes and shapes, as one error.
void check_entries(const std::filesystem::path& path, const SafetensorsFile& file,
                   std::span<const NamedSlot> slots, const LoadOptions& options) {
  const std::map<std::string, const Slot*> names = by_name("load_checkpoint", slots);
  std::vector<std::string> missing, unexpected, problems;
  for (const NamedSlot& named : slots) {
    if (!file.contains(named.name)) missing.push_back(named.name);
  }
  for (const SafetensorsFile::Entry& entry : file.entries()) {
    if (!options.ignore_unexpected && !names.contains(entry.name)) unexpected.push_back(entry.name);
  }
  if (!missing.empty()) problems.push_back("missing: " + listed(missing));
  if (!unexpected.empty()) problems.push_back("unexpected: " + listed(unexpected));
  for (const SafetensorsFile::Entry& entry : file.entries()) {
    const auto wanted = names.find(entry.name);
    if (wanted == names.end()) continue;
    const Type type = Array{entry.dtype, entry.shape, nullptr}.type();
    const Type& own = wanted->second->type();
    if (type == own) continue;
    problems.push_back(fmt::format("'{}' is {} in the file, {} here", entry.name, to_string(type),
                                   to_string(own)));
  }
  PLAIT_CHECK(problems.empty(), "load_checkpoint", "'{}' does not fit; {}", path.string(),
              fmt::join(problems, "; "));
}

}  // namespace

void save_checkpoint(const std::filesystem::path& path, std::span<const NamedSlot> slots,
                     const Metadata& metadata) {
  by_name("save_checkpoint", slots);
  std::vector<NamedArray> tensors;
  Metadata all = metadata;
  for (const NamedSlot& named : slots) {
    tensors.push_back({named.name, named.slot->value()});
    all[std::string(kChecksumPrefix) + named.name] = checksum(named.slot->value());
  }
  save_safetensors(path, tensors, all);
}

Metadata load_checkpoint(const std::filesystem::path& path, std::span<const NamedSlot> slots,
                         const LoadOptions& options) {
  const SafetensorsFile file(path);
  check_entries(path, file, slots, options);
  std::vector<Array> values;
  for (const NamedSlot& named : slots) {
    values.push_back(file.read(named.name));
    const auto expected = file.metadata().find(std::string(kChecksumPrefix) + named.name);
    if (expected == file.metadata().end()) continue;
    const std::string found = checksum(values.back());
    PLAIT_CHECK(found == expected->second, "load_checkpoint",
                "'{}' is damaged; the bytes of '{}' have CRC-32 {}, not {}", path.string(),
                named.name, found, expected->second);
  }
  for (size_t i = 0; i < slots.size(); ++i) slots[i].slot->set(std::move(values[i]));
  Metadata metadata;
  for (const auto& [key, value] : file.metadata()) {
    if (!key.starts_with(kChecksumPrefix)) metadata[key] = value;
  }
  return metadata;
}

}  // namespace plait
