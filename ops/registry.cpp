#include "ops/registry.h"

#include <algorithm>

#include "core/error.h"
#include "core/nearest.h"

namespace plait {
const std::vector<OpRecord>& op_records() {
  static const std::vector<OpRecord> records = [] {
    std::vector<OpRecord> all;
    for (auto* family :
         {activation_ops, arithmetic_ops, attention_ops, conv_ops, creation_ops, einsum_ops,
          elementwise_ops, indexing_ops, joining_ops, linear_ops, logical_ops, loss_ops,
          movement_ops, norm_ops, pooling_ops, random_ops, reduction_ops, sorting_ops}) {
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
  if (it == records.end() || it->name() != name) {
    std::vector<std::string_view> names;
    for (const OpRecord& record : records) names.push_back(record.name());
    PLAIT_CHECK(false, "plait", "no op is called '{}'. hint: {}", name, nearest_names(name, names));
  }
  return *it;
}

}  // namespace plait
