#include "ops/registry.h"

#include <algorithm>

#include "core/error.h"
#include "core/nearest.h"

namespace plait {
namespace {

// Each is the file ops/<name>.cpp.
struct Family {
  std::string_view name;
  std::vector<OpRecord> (*records)();
};

constexpr Family kFamilies[] = {
    {"activation", activation_ops},
    {"arithmetic", arithmetic_ops},
    {"attention", attention_ops},
    {"conv", conv_ops},
    {"creation", creation_ops},
    {"distance", distance_ops},
    {"einsum", einsum_ops},
    {"elementwise", elementwise_ops},
    {"indexing", indexing_ops},
    {"joining", joining_ops},
    {"linear", linear_ops},
    {"logical", logical_ops},
    {"loss", loss_ops},
    {"movement", movement_ops},
    {"norm", norm_ops},
    {"pooling", pooling_ops},
    {"random", random_ops},
    {"reduction", reduction_ops},
    {"resize", resize_ops},
    {"sorting", sorting_ops},
    {"transcendental", transcendental_ops},
};

}  // namespace

const std::vector<OpRecord>& op_records() {
  static const std::vector<OpRecord> records = [] {
    std::vector<OpRecord> all;
    for (const Family& family : kFamilies) {
      for (OpRecord& record : family.records()) {
        record.family = family.name;
        all.push_back(std::move(record));
      }
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
