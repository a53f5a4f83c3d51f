#include "python/lazy/plan.h"

#include <algorithm>

#include "core/error.h"
#include "python/lazy/region.h"

namespace plait::lazy {
namespace {

bool is_memory(const Node& node) {
  return node.kind == Kind::array || node.kind == Kind::slot || node.kind == Kind::placeholder;
}

}  // namespace

Plan::Plan(std::vector<Ref> targets, bool keep_held, bool slots) : slots_(slots) {
  collect(targets, keep_held);
  collect_inputs(targets);
  collect_outputs(std::move(targets), keep_held);
  hash();
}

void Plan::collect(const std::vector<Ref>& targets, bool now) {
  // Whether the node is emitted for its value alone, or as part of what gradients pass through.
  std::unordered_map<const Node*, bool> emitted;
  std::vector<std::pair<Ref, bool>> pending;
  for (const Ref& target : targets) pending.emplace_back(target, false);
  while (!pending.empty()) {
    const auto [ref, history_asked] = std::move(pending.back());
    pending.pop_back();
    const NodePtr& node = ref.node;
    if (is_memory(*node)) continue;
    const bool history = history_asked && node->requires_grad;
    if (!history && (node->computed(ref.index) || (now && take_part(node)))) continue;
    const auto [it, is_new] = emitted.emplace(node.get(), history);
    if (!is_new && (it->second || !history)) continue;
    it->second = history;
    if (is_new) nodes_.push_back(node);
    const bool begins_history = node->kind == Kind::gradient;
    for (const Ref& operand : node->operands) {
      pending.emplace_back(operand, history || begins_history);
    }
  }
  std::sort(nodes_.begin(), nodes_.end(),
            [](const NodePtr& a, const NodePtr& b) { return a->id < b->id; });
  for (size_t i = 0; i < nodes_.size(); ++i) {
    ordinal_.emplace(nodes_[i].get(), i);
    if (nodes_[i]->kind == Kind::gradient) last_gradient_ = nodes_[i]->id;
  }
}

void Plan::collect_inputs(const std::vector<Ref>& targets) {
  const auto use = [&](const Ref& ref) {
    if (emits(ref)) return;
    if (input_number_.emplace(std::pair(ref.node.get(), ref.index), inputs_.size()).second) {
      inputs_.push_back(ref);
      const bool current = slots_ && ref.node->kind == Kind::slot &&
                           ref.node->slot_version == ref.node->slot->version();
      slot_.push_back(current ? ref.node->slot : nullptr);
    }
  };
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const Node& node = *nodes_[i];
    for (const Ref& operand : node.operands) use(operand);
    if (node.kind != Kind::call) continue;
    if (node.key.buffer) draws_.push_back(nodes_[i]);
    for (size_t argument : node.call->numbers) {
      numbers_.push_back({i, argument, std::get<double>(node.call->arguments[argument])});
    }
  }
  for (const Ref& target : targets) use(target);
}

void Plan::collect_outputs(std::vector<Ref> targets, bool keep_held) {
  outputs_ = std::move(targets);
  if (!keep_held) return;
  std::map<std::pair<const Node*, uint32_t>, bool> seen;
  for (const Ref& target : outputs_) seen[{target.node.get(), target.index}] = true;
  for (const NodePtr& node : nodes_) {
    bool any = false;
    for (uint32_t i = 0; i < node->types.size(); ++i) {
      any |= node->holders[i] > 0 && !node->computed(i);
      any |= seen.contains({node.get(), i});
    }
    // All results of a call or none: a node whose results are known lets go of its operands.
    for (uint32_t i = 0; any && i < node->types.size(); ++i) {
      if (!node->computed(i) && seen.emplace(std::pair(node.get(), i), true).second) {
        outputs_.push_back({node, i});
      }
    }
  }
}

bool Plan::blocks_gradients(const Node& node) const {
  if (node.requires_grad || node.id > last_gradient_) return false;
  return std::any_of(node.operands.begin(), node.operands.end(),
                     [](const Ref& operand) { return operand.node->requires_grad; });
}

void Plan::hash() {
  std::string key;
  const auto add = [&](const auto& value) {
    key.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  const auto add_ref = [&](const Ref& ref) {
    const bool is_emitted = emits(ref);
    add(is_emitted);
    add(is_emitted ? ordinal_.at(ref.node.get()) : input_number(ref));
    add(ref.index);
  };
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Ref& ref = inputs_[i];
    add(slot_[i].get());
    add(ref.node->kind == Kind::placeholder);
    if (ref.node->kind == Kind::placeholder) key += ref.node->name + '\n';
    add(ref.type().dtype);
    add(ref.type().shape.size());
    for (Expr e : ref.type().shape) add(e.hash());
  }
  for (const NodePtr& node : nodes_) {
    add(node->kind);
    add(blocks_gradients(*node));
    if (node->kind == Kind::call) {
      add(node->call->structure);
      add(node->key.buffer != nullptr);
    }
    add(node->has_seed);
    add(node->operands.size());
    for (const Ref& operand : node->operands) add_ref(operand);
    for (Expr e : node->map) add(e.hash());
  }
  for (const Ref& output : outputs_) add_ref(output);
  structure_ = hash_bytes(key);
}

}  // namespace plait::lazy
