// The records themselves: signatures, docs, oracles, samples, and the dynamic call.
#include <catch2/catch.hpp>
#include <set>

#include "ops/op_record.h"
#include "tests/ops/evaluate_tensor.h"
#include "tests/support/error_text.h"

namespace plait {
namespace {

const std::set<std::string_view> kTypes = {"Tensor", "Tensor?", "Tensor[]", "Operand", "Operand?",
                                           "int",    "int?",    "int[]",    "int[]?",  "Size",
                                           "Size?",  "Shape",   "Shape?",   "float",   "float?",
                                           "bool",   "str",     "str?",     "DType",   "DType?"};

// "Tensor input, int dim=-1" -> {"Tensor input", "int dim=-1"}, brackets and quotes respected.
std::vector<std::string> split_arguments(std::string_view text) {
  std::vector<std::string> parts;
  std::string part;
  int depth = 0;
  for (char c : text) {
    depth += (c == '[' || c == '(') - (c == ']' || c == ')');
    if (c == ',' && depth == 0) {
      parts.push_back(part);
      part.clear();
    } else if (c != ' ' || !part.empty()) {
      part += c;
    }
  }
  if (!part.empty()) parts.push_back(part);
  return parts;
}

TEST_CASE("signatures name known types, distinct arguments, defaults last") {
  for (const OpRecord& record : op_records()) {
    INFO(record.signature);
    const size_t open = record.signature.find('(');
    const size_t close = record.signature.find(") -> ");
    REQUIRE(open != std::string_view::npos);
    REQUIRE(close != std::string_view::npos);
    const std::string_view result = record.signature.substr(close + 5);
    CHECK((result == "Tensor" || result == "Tensor[]" || result == "(Tensor, Tensor)"));
    std::set<std::string> names;
    bool defaults = false;
    bool keyword = false;
    for (const std::string& part :
         split_arguments(record.signature.substr(open + 1, close - open - 1))) {
      if (part == "*") {
        CHECK_FALSE(keyword);
        keyword = true;
        continue;
      }
      const size_t space = part.find(' ');
      REQUIRE(space != std::string::npos);
      CHECK(kTypes.count(part.substr(0, space)) == 1);
      const size_t equals = part.find('=');
      CHECK(names.insert(part.substr(space + 1, equals - space - 1)).second);
      if (equals != std::string::npos) defaults = true;
      CHECK((equals != std::string::npos || !defaults));
    }
  }
}

TEST_CASE("every record has a doc, an oracle and samples, and one name") {
  std::set<std::string_view> names;
  for (const OpRecord& record : op_records()) {
    INFO(record.signature);
    CHECK(names.insert(record.name()).second);
    CHECK(record.doc.size() > 3);
    CHECK(record.doc.back() == '.');
    CHECK(record.composition != nullptr);
    CHECK_FALSE(record.oracle.empty());
    CHECK(record.samples.size() >= 2);
    for (std::string_view sample : record.samples) {
      CHECK((sample.size() > 2 && sample.front() == '(' && sample.back() == ')'));
    }
  }
  CHECK(names.size() > 150);
}

TEST_CASE("an op is found by name and called with arguments as a dynamic caller gives them") {
  reset_current_graph();
  const Tensor x = testing::tensor({2, 3}, {1, 2, 3, 4, 5, 6});
  const std::vector<Argument> arguments = {x, int64_t{1}, true, std::monostate()};
  const std::vector<Tensor> result = find_op("sum").composition(arguments);
  REQUIRE(result.size() == 1);
  CHECK(to_string(result[0].type()) == "f32[2, 1]");
  CHECK(testing::values(result[0]) == testing::Numbers{6, 15});
  const std::vector<Argument> clamp = {x, int64_t{2}, 4.5};
  CHECK(testing::values(find_op("clamp").composition(clamp)[0]) ==
        testing::Numbers{2, 2, 3, 4, 4.5, 4.5});
  const std::vector<Argument> shape = {x, std::vector<int64_t>{3, -1}};
  CHECK(to_string(find_op("reshape").composition(shape)[0].type()) == "f32[3, 2]");
  const std::vector<Argument> parts = {x, int64_t{2}, int64_t{1}};
  CHECK(find_op("split").composition(parts).size() == 2);
}

TEST_CASE("an unknown op's error names the nearest") {
  const std::string text = error_text<UserError>([] { find_op("sofmax"); });
  CHECK_THAT(text, Catch::Contains("[plait] no op is called 'sofmax'"));
  CHECK_THAT(text, Catch::Contains("softmax"));
}

TEST_CASE("errors and scopes name the op that the user called, not its parts") {
  reset_current_graph();
  const Tensor x = testing::tensor({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK_THAT(error_text<UserError>([&] { layer_norm(x, {4}); }),
             Catch::StartsWith("[layer_norm] "));
  const Scope scope("h.3");
  const Tensor y = softmax(x, -1);
  for (const Origin& origin : y.graph()->origins(y.value())) CHECK(origin.scope == "h.3/softmax");
}

}  // namespace
}  // namespace plait
