#include "ops/registry.h"

#include <algorithm>

#include "core/error.h"

namespace plait {

const std::vector<OpRecord>& op_records() {
  static const std::vector<OpRecord> records = [] {
    std::vector<OpRecord> all;
    for (auto* family : {activation_ops, elementwise_ops}) {
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
  PLAIT_CHECK(it != records.end() && it->name() == name, "plait", "no op is called '{}'", name);
  return *it;
}

}  // namespace plait
