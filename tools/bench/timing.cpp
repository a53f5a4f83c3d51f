#include "tools/bench/timing.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <numeric>
#include <thread>

#include "core/error.h"

namespace plait::bench {
namespace {

constexpr int64_t kLeastSamples = 5;
constexpr int64_t kWarmUps = 2;
// A sample is long against the clock's own cost.
constexpr double kSample = 200e-6;
// A burst of samples in one turn.
constexpr double kTurn = 20e-3;
// Worker threads of the one before may spin for a while before they sleep.
constexpr auto kSettle = std::chrono::milliseconds(5);

}  // namespace

double Times::best() const {
  return samples.empty() ? std::numeric_limits<double>::infinity()
                         : *std::min_element(samples.begin(), samples.end());
}

double Times::median() const {
  if (samples.empty()) return std::numeric_limits<double>::infinity();
  std::vector<double> sorted = samples;
  const auto middle = sorted.begin() + static_cast<int64_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

std::vector<double> Local::time(int64_t samples, int64_t calls) {
  std::vector<double> result;
  for (int64_t s = 0; s < samples; ++s) {
    const Stopwatch watch;
    for (int64_t c = 0; c < calls; ++c) call_();
    result.push_back(watch.seconds() / static_cast<double>(calls));
  }
  return result;
}

std::vector<Times> take_turns(const std::vector<Contestant*>& contestants, double seconds) {
  struct Turn {
    int64_t samples = 1, calls = 1;
    bool lead_in = false;
    double spent = 0;
  };
  std::vector<Turn> turns;
  for (Contestant* contestant : contestants) {
    const double call = Times{contestant->time(kWarmUps, 1)}.best();
    Turn turn;
    turn.calls = std::max<int64_t>(1, static_cast<int64_t>(kSample / call));
    const double sample = call * static_cast<double>(turn.calls);
    turn.samples = std::clamp<int64_t>(static_cast<int64_t>(kTurn / sample), 1, 50);
    turn.lead_in = turn.samples > 1;
    turns.push_back(turn);
  }
  std::vector<Times> result(contestants.size());
  const auto done = [&](size_t i) {
    return turns[i].spent >= seconds && result[i].samples.size() >= kLeastSamples;
  };
  for (bool all_done = false; !all_done;) {
    all_done = true;
    for (size_t i = 0; i < contestants.size(); ++i) {
      Turn& turn = turns[i];
      if (contestants.size() > 1) std::this_thread::sleep_for(kSettle);
      const Stopwatch watch;
      std::vector<double> samples =
          contestants[i]->time(turn.samples + (turn.lead_in ? 1 : 0), turn.calls);
      turn.spent += watch.seconds();
      result[i].samples.insert(result[i].samples.end(), samples.begin() + (turn.lead_in ? 1 : 0),
                               samples.end());
      all_done = all_done && done(i);
    }
  }
  return result;
}

void reset_peak_rss() {
  // 5: sets the peak to what is resident now (man 5 proc). Kernels without it keep the older peak.
  std::ofstream("/proc/self/clear_refs") << 5;
}

size_t peak_rss() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "VmHWM:") continue;
    size_t kibibytes = 0;
    status >> kibibytes;
    return kibibytes << 10;
  }
  throw DeviceError("/proc/self/status has no VmHWM");
}

}  // namespace plait::bench
