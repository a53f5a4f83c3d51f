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
// The first sample of a turn finds the caches full of another contestant's data: it does not count,
// unless calls are so long that it hardly matters.
constexpr double kLongCall = 0.2;
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

namespace {

class Turns {
 public:
  explicit Turns(Contestant& contestant) : contestant_(contestant) {
    guarded([&] {
      const double call = Times{contestant_.time(kWarmUps, 1), {}}.best();
      calls_ = std::max<int64_t>(1, static_cast<int64_t>(kSample / call));
      const double sample = call * static_cast<double>(calls_);
      samples_ = std::clamp<int64_t>(static_cast<int64_t>(kTurn / sample), 1, 50);
      lead_in_ = call < kLongCall ? 1 : 0;
    });
  }
  bool done(double seconds) const {
    return !times_.error.empty() ||
           (spent_ >= seconds && times_.samples.size() >= static_cast<size_t>(kLeastSamples));
  }
  void take() {
    if (!times_.error.empty()) return;
    guarded([&] {
      const Stopwatch watch;
      const std::vector<double> samples = contestant_.time(samples_ + lead_in_, calls_);
      spent_ += watch.seconds();
      times_.samples.insert(times_.samples.end(), samples.begin() + lead_in_, samples.end());
    });
  }
  const Times& times() const { return times_; }

 private:
  void guarded(const std::function<void()>& body) {
    try {
      body();
    } catch (const std::exception& error) {
      times_.error = error.what();
    }
  }

  Contestant& contestant_;
  int64_t samples_ = 1, calls_ = 1, lead_in_ = 0;
  double spent_ = 0;
  Times times_;
};

}  // namespace

std::vector<Times> take_turns(const std::vector<Contestant*>& contestants, double seconds) {
  std::vector<Turns> turns;
  for (Contestant* contestant : contestants) turns.emplace_back(*contestant);
  const auto done = [&](const Turns& turn) { return turn.done(seconds); };
  while (!std::all_of(turns.begin(), turns.end(), done)) {
    for (Turns& turn : turns) {
      if (turns.size() > 1) std::this_thread::sleep_for(kSettle);
      turn.take();
    }
  }
  std::vector<Times> result;
  for (const Turns& turn : turns) result.push_back(turn.times());
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
