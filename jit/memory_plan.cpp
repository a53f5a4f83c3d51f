#include "jit/memory_plan.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace plait {
namespace {

constexpr size_t kAlignment = 64;

// The free parts of the arena, merged with their neighbours. The arena grows at its end.
class FreeList {
 public:
  size_t take(size_t bytes) {
    auto fit = by_size_.lower_bound({bytes, 0});
    if (fit == by_size_.end()) return grow(bytes);
    const auto [size, offset] = *fit;
    remove(offset, size);
    if (size > bytes) insert(offset + bytes, size - bytes);
    return offset;
  }

  void give(size_t offset, size_t bytes) {
    if (bytes == 0) return;
    auto next = by_offset_.lower_bound(offset);
    if (next != by_offset_.end() && offset + bytes == next->first) {
      bytes += next->second;
      remove(next->first, next->second);
    }
    auto before = by_offset_.lower_bound(offset);
    if (before != by_offset_.begin()) {
      --before;
      if (before->first + before->second == offset) {
        offset = before->first;
        bytes += before->second;
        remove(before->first, before->second);
      }
    }
    insert(offset, bytes);
  }

  size_t end() const { return end_; }

 private:
  size_t grow(size_t bytes) {
    size_t offset = end_;
    if (!by_offset_.empty()) {
      const auto last = std::prev(by_offset_.end());
      if (last->first + last->second == end_) {
        offset = last->first;
        remove(last->first, last->second);
      }
    }
    end_ = offset + bytes;
    return offset;
  }
  void insert(size_t offset, size_t bytes) {
    by_offset_.emplace(offset, bytes);
    by_size_.emplace(bytes, offset);
  }
  void remove(size_t offset, size_t bytes) {
    by_offset_.erase(offset);
    by_size_.erase({bytes, offset});
  }

  std::map<size_t, size_t> by_offset_;
  std::set<std::pair<size_t, size_t>> by_size_;
  size_t end_ = 0;
};

}  // namespace

MemoryPlan plan_memory(const std::vector<Lifetime>& lifetimes) {
  MemoryPlan plan;
  plan.offsets.resize(lifetimes.size());
  for (const Lifetime& lifetime : lifetimes) plan.sizes.push_back(lifetime.bytes);
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // Of those that start together the largest first: small ones fill what is left.
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (lifetimes[a].first != lifetimes[b].first) return lifetimes[a].first < lifetimes[b].first;
    if (lifetimes[a].bytes != lifetimes[b].bytes) return lifetimes[a].bytes > lifetimes[b].bytes;
    return a < b;
  });
  auto rounded = [&](size_t i) {
    return (lifetimes[i].bytes + kAlignment - 1) / kAlignment * kAlignment;
  };
  FreeList free;
  std::multimap<size_t, size_t> ends;  // last launch -> lifetime
  size_t alive = 0;
  for (size_t i : order) {
    while (!ends.empty() && ends.begin()->first < lifetimes[i].first) {
      const size_t dead = ends.begin()->second;
      free.give(plan.offsets[dead], rounded(dead));
      alive -= rounded(dead);
      ends.erase(ends.begin());
    }
    plan.offsets[i] = rounded(i) == 0 ? 0 : free.take(rounded(i));
    alive += rounded(i);
    if (alive > plan.most_alive) {
      plan.most_alive = alive;
      plan.peak = lifetimes[i].first;
    }
    ends.emplace(lifetimes[i].last, i);
  }
  plan.bytes = free.end();
  return plan;
}

}  // namespace plait
