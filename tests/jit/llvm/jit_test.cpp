// The backend itself: sources, sharing, threads, the cache on disk.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <thread>

#include "core/log.h"
#include "core/target.h"
#include "jit/backend.h"
#include "jit/kernel/builder.h"
#include "jit/llvm/codegen.h"
#include "jit/llvm/object_cache.h"
#include "tests/support/kernels.h"
#include "tests/support/launch.h"
#include "tests/support/small_stack.h"
#include "tests/support/temporary_folder.h"

using namespace plait;
using namespace plait::testing;
using kernel::Op;

namespace {

kernel::Kernel adder(const std::string& name = "add") {
  kernel::Kernel kernel = elementwise(Op::add, DType::f32, DType::f32, 16);
  kernel.name = name;
  return kernel;
}

// Adding a number, so that kernels differ.
kernel::Kernel add_number(int64_t number) {
  kernel::Kernel kernel;
  kernel.name = "add_number";
  kernel::Builder b(kernel);
  kernel::Buffer x{"x", DType::i64, 1}, y{"y", DType::i64, 1};
  y.access = kernel::Access::write;
  auto in = b.add_buffer(x), out = b.add_buffer(y);
  b.phase(1, [&](Expr) {
    b.store(out, 0, b.add(b.load(in, 0), b.constant(Scalar(DType::i64, number))));
  });
  return kernel;
}

int64_t run_number(const kernel::Kernel& kernel, const CompiledKernel& compiled) {
  int64_t x = 1000, y = 0;
  launch(kernel, compiled, {&x, &y}, {});
  return y;
}

bool adds(const CompiledKernel& compiled) {
  std::vector<float> x(37, 1.5f), y(37, 2), z(37);
  launch(adder(), compiled, {x.data(), y.data(), z.data()}, {37});
  return z == std::vector<float>(37, 3.5f);
}

// Collects warnings while it lives.
struct Warnings {
  std::vector<std::string> lines;
  Warnings() {
    set_log_sink([this](std::string_view line) { lines.emplace_back(line); });
  }
  ~Warnings() { set_log_sink(nullptr); }
};

std::vector<std::filesystem::path> files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) found.push_back(entry);
  return found;
}

// Fills a cache with one kernel, lets `damage` change its file, and compiles again.
void check_rebuilt(const std::function<void(const std::filesystem::path&)>& damage,
                   const std::string& reason) {
  TemporaryFolder folder;
  make_llvm_backend("", folder.path())->compile(adder());
  REQUIRE(files(folder.path()).size() == 1);
  damage(files(folder.path())[0]);
  Warnings warnings;
  auto backend = make_llvm_backend("", folder.path());
  CHECK(adds(*backend->compile(adder())));
  CHECK(backend->counts().compiled == 1);
  REQUIRE(warnings.lines.size() == 1);
  CHECK_THAT(warnings.lines[0], Catch::Contains("compiled anew: " + reason));
  auto again = make_llvm_backend("", folder.path());
  CHECK(adds(*again->compile(adder())));
  CHECK(again->counts().cached == 1);
  CHECK(warnings.lines.size() == 1);
}

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("schedules and code agree on the instruction set") {
  const std::string& cpu = native::host_isa().cpu;
  CHECK(native::host_has(native::host_isa().features));
  if (cpu == "x86-64-v4") CHECK(host_target().vector_bytes == 64);
  if (cpu == "x86-64-v3") CHECK(host_target().vector_bytes == 32);
  if (cpu == "x86-64-v2") CHECK(host_target().vector_bytes == 16);
}

TEST_CASE("sources of a native kernel") {
  auto compiled = make_llvm_backend("x86-64-v3")->compile(adder());
  CHECK_THAT(compiled->source("llvm"), Catch::Contains("define void @add_phase0"));
  CHECK_THAT(compiled->source("asm"), Catch::Contains("vaddps"));
  CHECK_THROWS_WITH(compiled->source("ptx"), Catch::Contains("no stage named `ptx`. hint:"));
  CHECK_THROWS_WITH(make_llvm_backend("pentium-9"), Catch::Contains("no CPU named `pentium-9`"));
}

TEST_CASE("code for another machine is not run") {
  if (native::host_has(native::isa_of_cpu("bdver4").features)) return;  // one of the last with XOP
  auto compiled = make_llvm_backend("bdver4")->compile(adder());
  CHECK(compiled->source("asm").size() > 100);
  CHECK_THROWS_WITH(compiled->run(0, {}), Catch::Contains("[run] add was compiled for bdver4"));
}

TEST_CASE("code for another architecture is inspected, not run") {
  const native::Isa isa = native::isa_of_cpu("aarch64:neoverse-n1");
  CHECK(std::count(isa.features.begin(), isa.features.end(), "neon") == 1);
  CHECK(!native::host_has(isa.features));
  CHECK(!native::host_runs(isa));
  CHECK(native::host_runs(native::host_isa()));
  auto backend = make_llvm_backend("aarch64:neoverse-n1");
  auto compiled = backend->compile(adder());
  CHECK(backend->counts().compiled == 0);
  CHECK_THAT(compiled->source("llvm"), !Catch::Contains("x86"));
  CHECK_THAT(compiled->source("asm"), Catch::Contains("fadd\tv"));
  CHECK_THROWS_WITH(compiled->run(0, {}),
                    Catch::Contains("[run] add was compiled for neoverse-n1"));
  CHECK_THROWS_WITH(make_llvm_backend("aarch64:x86-64-v3"),
                    Catch::Contains("no CPU named `aarch64:x86-64-v3`"));
}

TEST_CASE("kernels that differ in name alone share code") {
  auto backend = make_llvm_backend();
  auto first = backend->compile(adder("first")), second = backend->compile(adder("second"));
  CHECK(backend->counts().compiled == 1);
  CHECK(backend->counts().shared == 1);
  first.reset();
  CHECK(adds(*second));
  CHECK_THAT(second->source("llvm"), Catch::Contains("@second_phase0"));
  second.reset();
  CHECK(adds(*backend->compile(adder())));
  CHECK(backend->counts().compiled == 2);
}

TEST_CASE("threads compile at once") {
  auto backend = make_llvm_backend();
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int64_t i = 0; i < 8; ++i) {
        kernel::Kernel kernel = add_number(i);
        if (run_number(kernel, *backend->compile(kernel)) == 1000 + i) ++right;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 32);
}

TEST_CASE("scratch of a thread grows with the sizes") {
  auto compiled = make_llvm_backend()->compile(normalize_rows(100));
  int64_t batch = 3;
  CHECK(compiled->local_bytes(&batch) == 448);  // 100 floats, to a multiple of 64 bytes
}

// The required behaviour of cases C19, C21, C22 and C23.
TEST_CASE("cached code is used by the next backend and never compiled again") {
  TemporaryFolder folder;
  auto first = make_llvm_backend("", folder / "sub ü'x/cache");
  CHECK(adds(*first->compile(adder("one"))));
  CHECK(first->counts().compiled == 1);
  auto second = make_llvm_backend("", folder / "sub ü'x/cache");
  CHECK(adds(*second->compile(adder("other"))));
  CHECK(second->counts().compiled == 0);
  CHECK(second->counts().cached == 1);
  struct stat status;
  REQUIRE(::stat((folder / "sub ü'x/cache").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0700);
}

TEST_CASE("damaged cache entries are rebuilt with one warning") {
  check_rebuilt([](auto& path) { write(path, ""); }, "it is damaged");
  check_rebuilt([](auto& path) { std::filesystem::resize_file(path, file_size(path) / 2); },
                "it is damaged");
  for (size_t position : {0u, 20u, 45u, 70u, 1000u})
    check_rebuilt(
        [&](auto& path) {
          std::string bytes = read(path);
          bytes.at(position) ^= 4;
          write(path, bytes);
        },
        "it is damaged");
  check_rebuilt(
      [](auto& path) {
        std::filesystem::rename(path, path.string() + ".moved");
        std::filesystem::create_symlink(path.filename().string() + ".moved", path);
      },
      "");
}

TEST_CASE("entries that need features of another machine are rebuilt") {
  TemporaryFolder folder;
  native::ObjectCache cache(folder.path());
  native::CacheKey key = native::cache_key({"some kernel"});
  cache.store(key, {"k", {"avx2", "from-the-future"}, "code"});
  auto entry = cache.load(key, [](const auto&) { return true; });
  REQUIRE(entry);
  CHECK(entry->features == std::vector<std::string>{"avx2", "from-the-future"});
  CHECK(entry->object == "code");
  Warnings warnings;
  CHECK(!cache.load(key, native::host_has));
  REQUIRE(warnings.lines.size() == 1);
  CHECK_THAT(warnings.lines[0], Catch::Contains("needs CPU features that are missing here"));
  CHECK(!cache.load(native::cache_key({"some ker", "nel"}), native::host_has));
  CHECK(warnings.lines.size() == 1);
}

TEST_CASE("entries of another owner are not trusted") {
  if (::geteuid() != 0) return;  // only root can give files away
  check_rebuilt([](auto& path) { REQUIRE(::chown(path.c_str(), 12345, 12345) == 0); },
                "it belongs to somebody else");
}

TEST_CASE("a cache folder that cannot be used costs one warning") {
  TemporaryFolder folder;
  write(folder / "file", "not a folder");
  Warnings warnings;
  auto backend = make_llvm_backend("", folder / "file");
  CHECK(adds(*backend->compile(adder())));
  kernel::Kernel other = add_number(5);
  CHECK(run_number(other, *backend->compile(other)) == 1005);
  REQUIRE(warnings.lines.size() == 1);
  CHECK_THAT(warnings.lines[0], Catch::Contains("compiled kernels are not kept"));
}

TEST_CASE("the cache folder follows the option, then the user's folders") {
  CHECK(native::cache_folder("off").empty());
  CHECK(native::cache_folder("/some/where") == "/some/where");
  std::filesystem::path usual = native::cache_folder("");
  CHECK((usual.empty() || usual.filename() == "plait"));
}

// Case C15.
TEST_CASE("two thousand cached kernels load on a small stack") {
  TemporaryFolder folder;
  constexpr int64_t kCount = 2000;
  {
    auto backend = make_llvm_backend("", folder.path());
    for (int64_t i = 0; i < kCount; ++i) backend->compile(add_number(i));
  }
  int64_t right = 0;
  uint64_t compiled = 1;
  on_small_stack(512 << 10, [&] {
    auto backend = make_llvm_backend("", folder.path());
    std::vector<std::shared_ptr<CompiledKernel>> all;
    for (int64_t i = 0; i < kCount; ++i) all.push_back(backend->compile(add_number(i)));
    for (int64_t i = 0; i < kCount; ++i)
      right += run_number(add_number(i), *all[static_cast<size_t>(i)]) == 1000 + i;
    compiled = backend->counts().compiled;
  });
  CHECK(right == kCount);
  CHECK(compiled == 0);
}
