#include "ops/registry.h"

#include <algorithm>

#include "core/error.h"

namespace plait {
namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

// The three names that are closest, "softmax, softplus, log_softmax".
std::string nearest_names(std::string_view name) {
  std::vector<std::string_view> names;
  for (const OpRecord& record : op_records()) names.push_back(record.name());
  std::stable_sort(names.begin(), names.end(), [&](std::string_view a, std::string_view b) {
    return edit_distance(name, a) < edit_distance(name, b);
  });
  names.resize(std::min<size_t>(names.size(), 3));
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

const std::vector<OpRecord>& op_records() {
  static const std::vector<OpRecord> records = [] {
    std::vector<OpRecord> all;
    for (auto* family :
         {activation_ops, arithmetic_ops, attention_ops, creation_ops, elementwise_ops,
          indexing_ops, joining_ops, linear_ops, logical_ops, loss_ops, movement_ops, norm_ops,
          random_ops, reduction_ops, sorting_ops}) {
      for (OpRecord& record : family()) all.push_back(std::move(record));
    }
    std::sort(all.begin(), all.end(),
              [](const OpRecord& a, const OpRecord& b) { return a.name() < b.name(); });
    return all;
  }();
  return records;
}

const OpRecord& find_op(std::string_view name) {
  const std::vector<OpRecord>& records = op_records();
  const auto it = std::lower_bound(
      records.begin(), records.end(), name,
      [](const OpRecord& record, std::string_view key) { return record.name() < key; });
  PLAIT_CHECK(it != records.end() && it->name() == name, "plait",
              "no op is called '{}'. hint: nearest are {}", name, nearest_names(name));
  return *it;
}

}  // namespace plait
