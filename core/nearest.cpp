#include "core/nearest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

namespace plait {
namespace {

constexpr size_t kMaxShown = 3;
constexpr size_t kMaxListed = 20;
// Beyond this no text is a likely slip of another, and the work would grow with the square.
constexpr size_t kMaxLength = 200;

std::string quoted(const std::vector<std::string_view>& names, const char* last_separator) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? last_separator : ", ";
    text += fmt::format("'{}'", names[i]);
  }
  return text;
}

bool same_letter(char a, char b) {
  return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
}

}  // namespace

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), former(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, former);
    std::swap(former, row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = same_letter(a[i - 1], b[j - 1]);
      row[j] = std::min({former[j] + 1, row[j - 1] + 1, former[j - 1] + !same});
      if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

std::string nearest_names(std::string_view name, std::span<const std::string_view> known) {
  if (known.empty()) return "there are none";
  struct Candidate {
    size_t distance;
    std::string_view name;
  };
  std::vector<Candidate> near;
  for (std::string_view candidate : known) {
    const size_t length = std::max(name.size(), candidate.size());
    if (length > kMaxLength) continue;
    const size_t distance = edit_distance(name, candidate);
    const bool near_enough = distance <= std::max<size_t>(2, name.size() / 3);
    if (near_enough && distance < length) near.push_back({distance, candidate});
  }
  std::stable_sort(near.begin(), near.end(), [](const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.name < b.name;
  });
  std::vector<std::string_view> names;
  for (const Candidate& candidate : near) {
    // One that is much farther than the best is noise.
    const bool close = candidate.distance <= 2 * near.front().distance;
    if (close && names.size() < kMaxShown) names.push_back(candidate.name);
  }
  if (!names.empty()) return fmt::format("did you mean {}?", quoted(names, " or "));
  names.assign(known.begin(), known.end());
  std::sort(names.begin(), names.end());
  if (names.size() <= kMaxListed) return fmt::format("there are {}", quoted(names, " and "));
  names.resize(kMaxListed);
  return fmt::format("there are {} and {} more", quoted(names, ", "), known.size() - kMaxListed);
}

}  // namespace plait
