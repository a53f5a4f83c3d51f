// einsum: sums of products by index names, as contractions of two operands at a time.
#include <algorithm>
#include <cctype>

#include "core/error.h"
#include "core/index/simplify.h"
#include "ops/compose.h"
#include "ops/contraction.h"
#include "ops/functions.h"
#include "ops/registry.h"

namespace plait {
namespace {

using detail::axis_variable;
using detail::op_name;

// An axis name: a letter, or kEllipsis + n for the n-th axis from the right under an ellipsis.
using Label = int;
constexpr Label kEllipsis = 256;

std::string label_name(Label label) {
  return label < kEllipsis ? std::string(1, static_cast<char>(label))
                           : fmt::format("... (axis -{})", label - kEllipsis + 1);
}

struct Term {
  Tensor tensor;
  std::vector<Label> labels;  // one per axis

  bool has(Label label) const {
    return std::find(labels.begin(), labels.end(), label) != labels.end();
  }
};

// Appends the labels that one part of the equation names; the ellipsis stands for `ellipsis` axes.
std::vector<Label> parse_labels(std::string_view part, int64_t ellipsis,
                                const std::string& equation) {
  std::vector<Label> labels;
  bool seen = false;
  for (size_t i = 0; i < part.size(); ++i) {
    if (std::isalpha(static_cast<unsigned char>(part[i]))) {
      labels.push_back(part[i]);
      continue;
    }
    PLAIT_CHECK(part.substr(i, 3) == "..." && !seen, op_name(),
                "an operand is letters and at most one '...'; got '{}' in '{}'", part, equation);
    for (int64_t k = ellipsis; k-- > 0;) labels.push_back(kEllipsis + static_cast<Label>(k));
    seen = true;
    i += 2;
  }
  return labels;
}

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

struct Equation {
  std::vector<std::vector<Label>> operands;
  std::vector<Label> output;
};

// Without "->": the ellipsis, then the letters that occur once, by the alphabet.
std::vector<Label> implicit_output(const std::vector<std::vector<Label>>& operands,
                                   int64_t ellipsis) {
  std::vector<Label> output;
  for (int64_t k = ellipsis; k-- > 0;) output.push_back(kEllipsis + static_cast<Label>(k));
  for (Label letter = 0; letter < kEllipsis; ++letter) {
    int64_t times = 0;
    for (const auto& labels : operands) times += std::count(labels.begin(), labels.end(), letter);
    if (times == 1) output.push_back(letter);
  }
  return output;
}

Equation parse_equation(const std::string& equation, const std::vector<Tensor>& tensors) {
  std::string text;
  for (char c : equation) {
    if (!std::isspace(static_cast<unsigned char>(c))) text += c;
  }
  const size_t arrow = text.find("->");
  const std::vector<std::string> parts = split_at_commas(text.substr(0, arrow));
  PLAIT_CHECK(parts.size() == tensors.size(), op_name(), "'{}' names {} operands; got {} tensors",
              equation, parts.size(), tensors.size());
  Equation result;
  int64_t longest = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto letters = static_cast<int64_t>(parse_labels(parts[i], 0, equation).size());
    const int64_t left = tensors[i].rank() - letters;
    const bool dots = parts[i].find("...") != std::string::npos;
    PLAIT_CHECK(left == 0 || (dots && left > 0), op_name(),
                "operand {} has {} dims, but '{}' names {}; got {}", i, tensors[i].rank(), parts[i],
                letters, to_string(tensors[i].type()));
    result.operands.push_back(parse_labels(parts[i], left, equation));
    longest = std::max(longest, left);
  }
  result.output = arrow == std::string::npos
                      ? implicit_output(result.operands, longest)
                      : parse_labels(text.substr(arrow + 2), longest, equation);
  for (Label label : result.output) {
    PLAIT_CHECK(std::count(result.output.begin(), result.output.end(), label) == 1, op_name(),
                "the result names '{}' twice in '{}'", label_name(label), equation);
    const bool known = std::any_of(
        result.operands.begin(), result.operands.end(), [&](const std::vector<Label>& labels) {
          return std::find(labels.begin(), labels.end(), label) != labels.end();
        });
    PLAIT_CHECK(known || label >= kEllipsis, op_name(),
                "the result names '{}', which no operand has, in '{}'", label_name(label),
                equation);
  }
  return result;
}

// The diagonal over axes of one name: each label is left once.
Term take_diagonals(const Term& term) {
  Term result;
  Shape shape;
  std::vector<Expr> map;
  for (size_t i = 0; i < term.labels.size(); ++i) {
    const auto found = std::find(result.labels.begin(), result.labels.end(), term.labels[i]);
    const int64_t axis = found - result.labels.begin();
    map.push_back(axis_variable(axis));
    if (found == result.labels.end()) {
      result.labels.push_back(term.labels[i]);
      shape.push_back(term.tensor.shape()[i]);
      continue;
    }
    PLAIT_CHECK(prove_equal(shape[axis], term.tensor.shape()[i], {}) != false, op_name(),
                "axes of one name must have one size; got {}; '{}': {} != {}",
                to_string(term.tensor.type()), label_name(term.labels[i]), to_string(shape[axis]),
                to_string(term.tensor.shape()[i]));
  }
  if (result.labels.size() == term.labels.size()) return term;
  result.tensor = detail::reindex(term.tensor, shape, std::move(map));
  return result;
}

// Sums the axes that nobody else needs.
Term sum_unneeded(const Term& term, const std::function<bool(Label)>& needed) {
  Term result;
  std::vector<int64_t> gone;
  for (size_t i = 0; i < term.labels.size(); ++i) {
    if (needed(term.labels[i])) {
      result.labels.push_back(term.labels[i]);
    } else {
      gone.push_back(static_cast<int64_t>(i));
    }
  }
  if (gone.empty()) return term;
  result.tensor = detail::reduce(ReduceOp::sum, term.tensor, gone, false);
  return result;
}

// The term's axes in the order of `space`; gives their places in it.
std::vector<int64_t> align(Term& term, const std::vector<Label>& space) {
  std::vector<int64_t> order;
  std::vector<int64_t> places;
  for (size_t place = 0; place < space.size(); ++place) {
    const auto found = std::find(term.labels.begin(), term.labels.end(), space[place]);
    if (found == term.labels.end()) continue;
    order.push_back(found - term.labels.begin());
    places.push_back(static_cast<int64_t>(place));
  }
  if (!order.empty()) term.tensor = permute(term.tensor, order);
  return places;
}

Term contract_pair(Term a, Term b, const std::vector<Label>& output,
                   const std::function<bool(Label)>& needed_later) {
  std::vector<Label> all = a.labels;
  for (Label label : b.labels) {
    if (!a.has(label)) all.push_back(label);
  }
  // Kept axes in the order of the result, then the others; the summed ones last.
  Term result;
  for (Label label : output) {
    if (a.has(label) || b.has(label)) result.labels.push_back(label);
  }
  std::vector<Label> summed;
  for (Label label : all) {
    if (result.has(label)) continue;
    if (needed_later(label)) {
      result.labels.push_back(label);
    } else {
      summed.push_back(label);
    }
  }
  std::vector<Label> space = result.labels;
  space.insert(space.end(), summed.begin(), summed.end());
  Shape shape;
  for (Label label : space) {
    auto size_in = [&](const Term& term) {
      const auto found = std::find(term.labels.begin(), term.labels.end(), label);
      return found == term.labels.end() ? Expr(1)
                                        : term.tensor.shape()[found - term.labels.begin()];
    };
    shape.push_back(
        detail::broadcast_size(size_in(a), size_in(b), shape.size(), a.tensor, b.tensor));
  }
  const std::vector<int64_t> a_places = align(a, space);
  const std::vector<int64_t> b_places = align(b, space);
  result.tensor = detail::contract(a.tensor, a_places, b.tensor, b_places, shape,
                                   static_cast<int64_t>(summed.size()));
  return result;
}

}  // namespace

Tensor einsum(const std::string& equation, const std::vector<Tensor>& operands) {
  OpScope op("einsum");
  PLAIT_CHECK(!operands.empty(), op_name(), "at least one tensor is needed; got none");
  const std::shared_ptr<Graph> graph = detail::graph_of(operands);
  const Equation parsed = parse_equation(equation, operands);
  DType dtype = operands[0].dtype();
  for (const Tensor& operand : operands) dtype = promote(dtype, operand.dtype());
  PLAIT_CHECK(dtype != DType::boolean, op_name(),
              "bools have no products to sum; got {}. hint: cast them first",
              to_string(operands[0].type()));
  std::vector<Term> terms;
  for (size_t i = 0; i < operands.size(); ++i) {
    const Tensor wide = detail::cast_to(detail::tensor_in(graph, operands[i]), compute_type(dtype));
    terms.push_back(take_diagonals({wide, parsed.operands[i]}));
  }
  auto in_output = [&](Label label) {
    return std::find(parsed.output.begin(), parsed.output.end(), label) != parsed.output.end();
  };
  auto in_terms = [&](Label label, size_t begin) {
    return std::any_of(terms.begin() + begin, terms.end(),
                       [&](const Term& term) { return term.has(label); });
  };
  Term result =
      sum_unneeded(terms[0], [&](Label label) { return in_output(label) || in_terms(label, 1); });
  for (size_t i = 1; i < terms.size(); ++i) {
    const Term next = sum_unneeded(terms[i], [&](Label label) {
      return in_output(label) || result.has(label) || in_terms(label, i + 1);
    });
    result = contract_pair(result, next, parsed.output,
                           [&](Label label) { return in_terms(label, i + 1); });
  }
  align(result, parsed.output);
  return detail::cast_to(result.tensor, dtype);
}

std::vector<OpRecord> einsum_ops() {
  return {
      {
          .signature = "einsum(str equation, Tensor[] operands) -> Tensor",
          .doc =
              "Sums of products by axis names, as in numpy: 'bij,bjk->bik'. '...' stands for the "
              "axes not named and broadcasts; a name twice in one operand takes the diagonal; "
              "without '->' the result has the names that occur once, by the alphabet. Operands "
              "are contracted from left to right. Halves widen to f32 and round once.",
          .composition = compose<&einsum>,
          .oracle = "np.einsum(equation, *operands)",
          .samples = {"('ij,jk->ik', [randn(3, 5), randn(5, 4)])",
                      "('bij,bjk->bik', [randn(2, 3, 5), randn(2, 5, 4)])",
                      "('ij,jk', [randn(3, 5), randn(5, 4)])", "('ii->i', [randn(4, 4)])",
                      "('ii', [randn(4, 4)])", "('ij->ji', [randn(3, 5)])",
                      "('...ij,...jk->...ik', [randn(2, 1, 3, 5), randn(7, 5, 4)])",
                      "('i,j->ij', [randn(3), randn(4)])", "('i,i->', [randn(5), randn(5)])",
                      "('ij->', [randn(3, 5)])", "('...', [randn(2, 3)])",
                      "('bhqd,bhkd->bhqk', [randn(2, 3, 4, 5), randn(2, 3, 6, 5)])",
                      "('ij,jk,kl->il', [randn(2, 3), randn(3, 4), randn(4, 5)])",
                      "('ij,ik->i', [randn(3, 5), randn(3, 4)])",
                      "('ba,ca->cb', [randn(3, 5), randn(4, 5)])",
                      "('iij,j->i', [randn(3, 3, 4), randn(4)])",
                      "('ij,j->i', [randn(3, 0), randn(0)])", "('i,->i', [randn(3), randn()])",
                      "('i...->...', [randn(3, 2, 4)])"},
      },
  };
}

}  // namespace plait
