#include "python/lazy/sharing.h"

#include <algorithm>

#include "core/error.h"

namespace plait::lazy {
namespace {

template <class T>
void append(std::string& key, const T& value) {
  key.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_view(std::string& key, const LazyTensor& tensor) {
  append(key, tensor.view() ? tensor.view()->length : size_t{0});
  for (const View* view = tensor.view().get(); view; view = view->under.get()) {
    append(key, view->op->number);
    append(key, view->index);
    append_arguments(key, view->arguments);
  }
}

// Numbers for symbols.
struct Substitute {
  const SymbolValues& symbols;
  Expr operator()(Expr e) const {
    return evaluate(
        e, [](uint32_t id) -> int64_t { PLAIT_UNREACHABLE("variable {} in a size", id); }, symbols);
  }
};

CallArgument with_numbers(const CallArgument& argument, const SymbolValues& symbols) {
  const Substitute number{symbols};
  if (const Expr* size = std::get_if<Expr>(&argument)) return number(*size);
  if (const Shape* sizes = std::get_if<Shape>(&argument)) {
    Shape result;
    for (Expr size : *sizes) result.push_back(number(size));
    return result;
  }
  return argument;
}

}  // namespace

struct MemoryUse::Group {
  std::shared_ptr<Cell> cell;
  std::vector<size_t> arguments;
  bool views = false;
  const std::pair<std::shared_ptr<Cell>, bool>* external = nullptr;
};

MemoryUse::MemoryUse(std::vector<bool> written, const Capture& capture,
                     std::set<const Slot*> trained)
    : written_(std::move(written)),
      trained_(std::move(trained)),
      differentiates_(capture.differentiates()) {
  for (const Capture::External& external : capture.externals()) {
    externals_.emplace_back(external.cell, external.written());
  }
  writes_ = std::find(written_.begin(), written_.end(), true) != written_.end();
  for (const auto& external : externals_) writes_ |= external.second;
}

bool MemoryUse::matters(const Group& group) const {
  if (group.cell->slot() && trained_.contains(group.cell->slot().get())) return true;
  if (group.arguments.size() + (group.external ? 1 : 0) < 2) return false;
  if (differentiates_ && group.cell->requires_grad()) return true;
  if (group.external && group.external->second) return true;
  return std::any_of(group.arguments.begin(), group.arguments.end(),
                     [&](size_t i) { return written_[i]; });
}

Sharing MemoryUse::sharing(const std::vector<const LazyTensor*>& arguments) const {
  Sharing result;
  if (!writes_ && !differentiates_ && trained_.empty()) return result;
  std::vector<Group> groups;  // in the order of their first arguments
  std::map<const Cell*, size_t> group_of;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!arguments[i]) continue;
    const std::shared_ptr<Cell>& cell = arguments[i]->cell();
    const auto [it, is_new] = group_of.emplace(cell.get(), groups.size());
    if (is_new) groups.push_back({cell, {}});
    groups[it->second].arguments.push_back(i);
    groups[it->second].views |= arguments[i]->is_view();
  }
  for (const auto& external : externals_) {
    const auto it = group_of.find(external.first.get());
    if (it != group_of.end()) groups[it->second].external = &external;
  }
  for (const Group& group : groups) {
    if (!matters(group)) continue;
    const bool outside = group.external || group.cell->slot();
    result.given.resize(arguments.size(), Given::placeholder);
    append(result.key, outside ? group.cell.get() : nullptr);
    append(result.key, group.arguments.size());
    for (size_t i : group.arguments) {
      result.given[i] = outside ? Given::outside : Given::bound;
      append(result.key, i);
      append_view(result.key, *arguments[i]);
    }
    if (!group.views) continue;
    const Type type = group.cell->type();
    append(result.key, type.dtype);
    append(result.key, type.rank());
    for (Expr size : type.shape) append(result.key, size.hash());
    result.fixed_sizes = true;
  }
  return result;
}

std::shared_ptr<const View> stack_views(std::shared_ptr<const View> under, const View* steps,
                                        const SymbolValues& symbols) {
  std::vector<const View*> chain;
  for (; steps; steps = steps->under.get()) chain.push_back(steps);
  for (size_t i = chain.size(); i-- > 0;) {
    std::vector<CallArgument> arguments;
    for (const CallArgument& argument : chain[i]->arguments) {
      arguments.push_back(with_numbers(argument, symbols));
    }
    const size_t length = under ? under->length + 1 : 1;
    under = std::make_shared<const View>(
        View{std::move(under), chain[i]->op, std::move(arguments), chain[i]->index, length});
  }
  return under;
}

}  // namespace plait::lazy
