#include "jit/llvm/loader.h"

#include <llvm/ExecutionEngine/Orc/Core.h>
#include <llvm/ExecutionEngine/Orc/ExecutorProcessControl.h>
#include <llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h>
#include <llvm/Support/MemoryBuffer.h>

#include <atomic>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace plait::native {

namespace {

using llvm::orc::ExecutorAddr;
using llvm::orc::JITDylib;

template <class T>
T checked(llvm::Expected<T> value, const char* what) {
  if (value) return std::move(*value);
  PLAIT_UNREACHABLE("{}: {}", what, llvm::toString(value.takeError()));
}

void check(llvm::Error error, const char* what) {
  PLAIT_INTERNAL_CHECK(!error, "{}: {}", what, llvm::toString(std::move(error)));
}

// What generated code may call where the instruction set lacks an instruction.
template <class F>
std::pair<const char*, ExecutorAddr> entry(const char* name, F* function) {
  return {name, ExecutorAddr::fromPtr(function)};
}

struct Linker {
  Linker()
      : session(checked(llvm::orc::SelfExecutorProcessControl::Create(), "JIT")),
        layer(session),
        library(session.createBareJITDylib("library")) {
    using Unary = float(float);
    using UnaryWide = double(double);
    using Binary = float(float, float);
    using BinaryWide = double(double, double);
    using Ternary = float(float, float, float);
    using TernaryWide = double(double, double, double);
    llvm::orc::SymbolMap symbols;
    auto add = [&](std::pair<const char*, ExecutorAddr> entry) {
      symbols[session.intern(entry.first)] = {entry.second, llvm::JITSymbolFlags::Exported};
    };
    add(entry<Binary>("fmodf", ::fmodf));
    add(entry<BinaryWide>("fmod", ::fmod));
    add(entry<Ternary>("fmaf", ::fmaf));
    add(entry<TernaryWide>("fma", ::fma));
    add(entry<Unary>("floorf", ::floorf));
    add(entry<UnaryWide>("floor", ::floor));
    add(entry<Unary>("ceilf", ::ceilf));
    add(entry<UnaryWide>("ceil", ::ceil));
    add(entry<Unary>("truncf", ::truncf));
    add(entry<UnaryWide>("trunc", ::trunc));
    // The rounding mode is never changed, so these are roundeven.
    add(entry<Unary>("roundevenf", ::nearbyintf));
    add(entry<UnaryWide>("roundeven", ::nearbyint));
    add(entry<void*(void*, const void*, size_t)>("memcpy", ::memcpy));
    add(entry<void*(void*, const void*, size_t)>("memmove", ::memmove));
    add(entry<void*(void*, int, size_t)>("memset", ::memset));
    check(library.define(llvm::orc::absoluteSymbols(std::move(symbols))), "JIT library");
  }

  llvm::orc::ExecutionSession session;
  llvm::orc::ObjectLinkingLayer layer;
  JITDylib& library;
  std::atomic<uint64_t> next{0};
};

// Lives as long as the process: kernels may be destroyed by static destructors.
Linker& linker() {
  static Linker* linker = new Linker;
  return *linker;
}

class LinkedObject final : public LoadedObject {
 public:
  // A library of its own: names of different objects never meet.
  LinkedObject(std::string_view object, const std::vector<std::string>& names)
      : home_(linker().session.createBareJITDylib(
            fmt::format("kernel{}", linker().next.fetch_add(1)))) {
    try {
      link(object, names);
    } catch (...) {
      release();
      throw;
    }
  }
  ~LinkedObject() override { release(); }
  const std::vector<void*>& symbols() const override { return symbols_; }

 private:
  void link(std::string_view object, const std::vector<std::string>& names) {
    Linker& jit = linker();
    home_.addToLinkOrder(jit.library);
    check(jit.layer.add(home_, llvm::MemoryBuffer::getMemBufferCopy(object, home_.getName())),
          "add object");
    llvm::orc::SymbolLookupSet wanted;
    for (const std::string& name : names) wanted.add(jit.session.intern(name));
    auto found = checked(
        jit.session.lookup(llvm::orc::makeJITDylibSearchOrder(&home_), std::move(wanted)), "link");
    for (const std::string& name : names)
      symbols_.push_back(found[jit.session.intern(name)].getAddress().toPtr<void*>());
  }

  void release() { llvm::consumeError(linker().session.removeJITDylib(home_)); }

  JITDylib& home_;
  std::vector<void*> symbols_;
};

}  // namespace

std::unique_ptr<LoadedObject> load_object(std::string_view object,
                                          const std::vector<std::string>& symbols) {
  return std::make_unique<LinkedObject>(object, symbols);
}

}  // namespace plait::native
