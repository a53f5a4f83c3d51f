#include "tools/bench/peer.h"

#include <cmath>
#include <limits>
#include <sstream>

#include "core/error.h"
#include "core/io/safetensors.h"

namespace plait::bench {

Peer::Peer(const std::string& python, const std::string& framework, const std::string& work,
           const std::filesystem::path& data, int64_t threads)
    : framework_(framework),
      process_(
          {python, PLAIT_BENCH_PEERS, framework, work, data.string(), std::to_string(threads)}) {}

std::vector<std::string> Peer::ask(const std::string& line, const std::string& answer) {
  process_.write_line(line);
  const std::string text = process_.read_line();
  std::istringstream words(text);
  std::string first;
  words >> first;
  PLAIT_CHECK(first == answer, "bench", "{} failed: {}", framework_, text);
  std::vector<std::string> rest;
  for (std::string word; words >> word;) rest.push_back(word);
  return rest;
}

double Peer::first_call() { return std::stod(ask("first", "seconds").at(0)); }

std::vector<double> Peer::time(int64_t samples, int64_t calls) {
  std::vector<double> result;
  for (const std::string& word : ask(fmt::format("time {} {}", samples, calls), "seconds")) {
    result.push_back(std::stod(word));
  }
  return result;
}

void Peer::write_results(const std::filesystem::path& file) {
  ask("results " + file.string(), "written");
}

size_t Peer::peak_rss() { return std::stoull(ask("memory", "bytes").at(0)); }

double largest_difference(const std::vector<Array>& ours, const std::filesystem::path& results) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const SafetensorsFile file(results);
  double worst = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    const std::string name = std::to_string(i);
    if (!file.contains(name)) return kInfinity;
    const Array theirs = file.read(name);
    if (theirs.shape != ours[i].shape || theirs.dtype != ours[i].dtype) return kInfinity;
    double squares = 0, most = 0;
    for (int64_t k = 0; k < theirs.count(); ++k) {
      const double a = ours[i].at(k).as_double(), b = theirs.at(k).as_double();
      squares += a * a;
      // Written so that a NaN on either side counts.
      if (!(std::abs(a - b) <= most)) most = std::isnan(a - b) ? kInfinity : std::abs(a - b);
    }
    if (most == 0) continue;
    worst = std::max(worst, most / std::sqrt(squares / static_cast<double>(theirs.count())));
  }
  return worst;
}

}  // namespace plait::bench
