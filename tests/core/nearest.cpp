#include "core/nearest.h"

#include <catch2/catch.hpp>
#include <vector>

using namespace plait;

TEST_CASE("edit distance") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("threads", "threads") == 0);
  CHECK(edit_distance("threads", "thraeds") == 1);
  CHECK(edit_distance("threads", "thread") == 1);
  CHECK(edit_distance("threads", "treadz") == 2);
  CHECK(edit_distance("THREADS", "threads") == 0);
  CHECK(edit_distance("kitten", "sitting") == edit_distance("sitting", "kitten"));
}

TEST_CASE("nearest names") {
  const std::vector<std::string_view> known = {"softmax", "softmin", "relu", "matmul"};
  CHECK(nearest_names("softmx", known) == "did you mean 'softmax' or 'softmin'?");
  CHECK(nearest_names("SoftMax", known) == "did you mean 'softmax'?");
  CHECK(nearest_names("matmull", known) == "did you mean 'matmul'?");
  const std::vector<std::string_view> letters = {"x", "w"};
  CHECK(nearest_names("v", letters) == "there are 'w' and 'x'");
  CHECK(nearest_names("q1", known) == "there are 'matmul', 'relu', 'softmax' and 'softmin'");
  CHECK(nearest_names("x", {}) == "there are none");

  std::vector<std::string> many;
  for (int i = 100; i < 150; ++i) many.push_back("layer" + std::to_string(i));
  const std::vector<std::string_view> views(many.begin(), many.end());
  const std::string text = nearest_names("?", views);
  CHECK(text.starts_with("there are 'layer100', "));
  CHECK(text.ends_with("'layer119' and 30 more"));
}
