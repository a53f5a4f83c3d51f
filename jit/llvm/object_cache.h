// Object code on disk, one file an entry, named by the hash of what it was made from.
//
// The folder belongs to one user: entries of another owner, damaged ones, and ones that need CPU
// features this machine lacks are never loaded; each is reported by one warning and written anew.
// Without a usable folder the cache warns once and finds and keeps nothing. Thread safe, and safe
// with other processes at the same folder.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plait::native {

using CacheKey = std::array<uint64_t, 2>;
// XXH3, 128 bits, of the parts and their lengths.
CacheKey cache_key(const std::vector<std::string_view>& parts);

struct CacheEntry {
  std::string kernel_name;            // its symbols begin with it
  std::vector<std::string> features;  // what a machine must have to run the code
  std::string object;
};

class ObjectCache {
 public:
  // folder: made with its parents at the first use; empty: no cache.
  explicit ObjectCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // can_run: whether this machine has the features.
  std::optional<CacheEntry> load(
      const CacheKey& key, const std::function<bool(const std::vector<std::string>&)>& can_run);
  void store(const CacheKey& key, const CacheEntry& entry);

  std::filesystem::path path_of(const CacheKey& key) const;

 private:
  bool usable();

  std::filesystem::path folder_;
  std::once_flag opened_;
  bool usable_ = false;
};

// What the option `cache_dir` names: empty is `plait` in the user's cache folder, `off` none (an
// empty path), as is a user without a home.
std::filesystem::path cache_folder(const std::string& option);

}  // namespace plait::native
