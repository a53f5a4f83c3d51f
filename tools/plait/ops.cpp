// plait ops: signatures and docs of the op records.
#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "ops/op_record.h"
#include "tools/plait/verbs.h"

namespace plait::tool {
namespace {

std::string described(const OpRecord& record) {
  std::string doc(record.doc);
  if (!doc.ends_with('.')) doc += '.';
  return doc + (record.differentiable ? "\n" : " Not differentiable.\n");
}

// A Markdown section per family.
void print_all() {
  std::map<std::string_view, std::string> families;
  for (const OpRecord& record : op_records()) {
    families[record.family] += fmt::format("- `{}`\n  {}", record.signature, described(record));
  }
  std::string separator;
  for (const auto& [family, text] : families) {
    fmt::print("{}## {}\n\n{}", std::exchange(separator, "\n"), family, text);
  }
}

void print_json(const std::vector<const OpRecord*>& records) {
  auto list = nlohmann::ordered_json::array();
  for (const OpRecord* record : records) {
    list.push_back({{"name", record->name()},
                    {"family", record->family},
                    {"signature", record->signature},
                    {"doc", record->doc},
                    {"differentiable", record->differentiable}});
  }
  fmt::print("{}\n", list.dump(1));
}

}  // namespace

Verb add_ops(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("ops", "Print the signature and doc of ops");
  const auto names = std::make_shared<std::vector<std::string>>();
  const auto json = std::make_shared<bool>(false);
  verb->add_option("NAME", *names, "Ops; all, by family, if none is named");
  verb->add_flag("--json", *json, "Print JSON: a list of objects");
  return {verb, [names, json] {
            std::vector<const OpRecord*> records;
            for (const std::string& name : *names) records.push_back(&find_op(name));
            if (*json) {
              if (names->empty()) {
                for (const OpRecord& record : op_records()) records.push_back(&record);
              }
              print_json(records);
              return;
            }
            if (names->empty()) print_all();
            std::string separator;
            for (const OpRecord* record : records) {
              fmt::print("{}{}\n\n{}", std::exchange(separator, "\n"), record->signature,
                         described(*record));
            }
          }};
}

}  // namespace plait::tool
