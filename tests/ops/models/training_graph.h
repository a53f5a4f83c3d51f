// A GPT's training step as a graph, for the reference evaluator.
#pragma once

#include <memory>
#include <vector>

#include "core/graph/build.h"
#include "ops/models/gpt.h"
#include "ops/optim/optimizer.h"
#include "passes/gradients.h"

namespace plait::testing {

// The graph of a training step: output 0 is the loss.
inline std::shared_ptr<Graph> training_graph(models::GPT& model, optim::Optimizer& optimizer,
                                             int64_t rows, int64_t length) {
  reset_current_graph();
  const Tensor tokens = input("tokens", DType::i64, {rows, length});
  const Tensor targets = input("targets", DType::i64, {rows, length});
  const Tensor loss = models::gpt_loss(model, tokens, targets);
  Graph& graph = *loss.graph();
  graph.add_output("loss", loss.value());
  std::vector<Value> wrt;
  for (const auto& slot : optimizer.parameters()) wrt.push_back(meta::parameter(graph, slot));
  std::vector<Tensor> gradients;
  for (Value v : plait::gradients(graph, loss.value(), wrt)) {
    gradients.emplace_back(loss.graph(), v);
  }
  optimizer.update(gradients);
  return loss.graph();
}

}  // namespace plait::testing
