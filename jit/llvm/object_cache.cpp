#include "jit/llvm/object_cache.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "core/io/file.h"
#include "core/log.h"

namespace plait::native {

namespace {

// An entry is this header, then the texts in its order, then XXH3-64 of all before it.
struct Header {
  char magic[8];
  uint32_t version;
  uint32_t name_bytes;
  uint32_t features_bytes;
  uint32_t reserved;
  uint64_t object_bytes;
  uint64_t key[2];
};
static_assert(sizeof(Header) == 48, "the header has no padding");
constexpr char kMagic[8] = {'P', 'L', 'A', 'I', 'T', 'O', 'B', 'J'};
constexpr uint32_t kVersion = 1;

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    size_t comma = std::min(text.find(','), text.size());
    words.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return words;
}

std::string encode(const CacheKey& key, const CacheEntry& entry) {
  std::string features = join(entry.features);
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  header.name_bytes = static_cast<uint32_t>(entry.kernel_name.size());
  header.features_bytes = static_cast<uint32_t>(features.size());
  header.object_bytes = entry.object.size();
  header.key[0] = key[0];
  header.key[1] = key[1];
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += entry.kernel_name + features + entry.object;
  uint64_t checksum = XXH3_64bits(bytes.data(), bytes.size());
  bytes.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
  return bytes;
}

std::optional<CacheEntry> decode(const CacheKey& key, std::string_view bytes) {
  Header header;
  uint64_t checksum;
  if (bytes.size() < sizeof header + sizeof checksum) return std::nullopt;
  std::string_view body = bytes.substr(0, bytes.size() - sizeof checksum);
  std::memcpy(&checksum, bytes.data() + body.size(), sizeof checksum);
  std::memcpy(&header, body.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.version != kVersion ||
      header.key[0] != key[0] || header.key[1] != key[1] ||
      XXH3_64bits(body.data(), body.size()) != checksum)
    return std::nullopt;
  body.remove_prefix(sizeof header);
  uint64_t texts = uint64_t{header.name_bytes} + header.features_bytes;
  if (texts > body.size() || body.size() - texts != header.object_bytes) return std::nullopt;
  CacheEntry entry;
  entry.kernel_name = body.substr(0, header.name_bytes);
  entry.features = split(body.substr(header.name_bytes, header.features_bytes));
  entry.object = body.substr(texts);
  return entry;
}

// The bytes of a regular file of this user; absent if there is no file. `problem` says why a file
// that exists cannot be trusted.
std::optional<std::string> read_own_file(const std::filesystem::path& path, std::string& problem) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0) {
    if (errno != ENOENT) problem = std::strerror(errno);
    return std::nullopt;
  }
  std::string bytes;
  struct stat status;
  if (::fstat(descriptor, &status) != 0) {
    problem = std::strerror(errno);
  } else if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid()) {
    problem = "it belongs to somebody else";
  } else {
    bytes.resize(static_cast<size_t>(status.st_size));
    size_t done = 0;
    while (done < bytes.size()) {
      ssize_t count = ::read(descriptor, bytes.data() + done, bytes.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      done += static_cast<size_t>(count);
    }
    bytes.resize(done);
  }
  ::close(descriptor);
  if (!problem.empty()) return std::nullopt;
  return bytes;
}

}  // namespace

CacheKey cache_key(const std::vector<std::string_view>& parts) {
  XXH3_state_t* state = XXH3_createState();
  XXH3_128bits_reset(state);
  for (std::string_view part : parts) {
    uint64_t size = part.size();
    XXH3_128bits_update(state, &size, sizeof size);
    XXH3_128bits_update(state, part.data(), part.size());
  }
  XXH128_hash_t hash = XXH3_128bits_digest(state);
  XXH3_freeState(state);
  return {hash.high64, hash.low64};
}

std::filesystem::path ObjectCache::path_of(const CacheKey& key) const {
  return folder_ / fmt::format("{:016x}{:016x}.o", key[0], key[1]);
}

bool ObjectCache::usable() {
  std::call_once(opened_, [this] {
    if (folder_.empty()) return;
    std::error_code error;
    bool made = std::filesystem::create_directories(folder_, error);
    if (made) std::filesystem::permissions(folder_, std::filesystem::perms::owner_all, error);
    usable_ = !error && ::access(folder_.c_str(), R_OK | W_OK | X_OK) == 0;
    if (!usable_)
      PLAIT_LOG(warn, "compiled kernels are not kept: the cache folder {} cannot be written ({})",
                folder_.string(), error ? error.message() : std::strerror(errno));
  });
  return usable_;
}

std::optional<CacheEntry> ObjectCache::load(
    const CacheKey& key, const std::function<bool(const std::vector<std::string>&)>& can_run) {
  if (!usable()) return std::nullopt;
  std::string problem;
  auto bytes = read_own_file(path_of(key), problem);
  if (!bytes && problem.empty()) return std::nullopt;
  std::optional<CacheEntry> entry;
  if (bytes) {
    entry = decode(key, *bytes);
    if (!entry)
      problem = "it is damaged";
    else if (!can_run(entry->features))
      problem = "it needs CPU features that are missing here";
  }
  if (problem.empty()) return entry;
  PLAIT_LOG(warn, "cached kernel {} is compiled anew: {}", path_of(key).string(), problem);
  std::error_code ignored;  // writing the new one reports what stays in the way
  std::filesystem::remove(path_of(key), ignored);
  return std::nullopt;
}

void ObjectCache::store(const CacheKey& key, const CacheEntry& entry) {
  if (!usable()) return;
  try {
    // A torn entry has another checksum, and is made again.
    write_file_atomic("object cache", path_of(key), encode(key, entry), Survives::kill);
  } catch (const std::exception& error) {
    // Another process may be writing the same entry; a full disk costs the next run its time.
    PLAIT_LOG(info, "kernel {} is not kept: {}", entry.kernel_name, error.what());
  }
}

std::filesystem::path cache_folder(const std::string& option) {
  if (option == "off") return {};
  if (!option.empty()) return option;
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache == '/')
    return std::filesystem::path(cache) / "plait";
  const char* home = std::getenv("HOME");
  if (!home || *home != '/') {
    const passwd* user = ::getpwuid(::geteuid());
    home = user ? user->pw_dir : nullptr;
  }
  if (!home || *home != '/') return {};
  return std::filesystem::path(home) / ".cache" / "plait";
}

}  // namespace plait::native
