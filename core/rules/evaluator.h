// The machinery of evaluate(): which nodes are stored and which are pulled element by element.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/rules/evaluate.h"
#include "core/rules/index_program.h"
#include "core/rules/scalar_functions.h"

namespace plait {

class Evaluator {
 public:
  Evaluator(const Graph& graph, const std::map<std::string, Array>& inputs,
            const SymbolValues& symbols);
  Evaluation run();

 private:
  struct Entry {
    std::vector<int64_t> shape;
    bool live = false;
    bool pulled = false;
    double reads = 0;       // element evaluations asked for by stored users
    uint32_t level = 0;     // pulled users between this node and the stored one that reads it
    Value last_reader = 0;  // stored node after which the array can go; kNoValue: an output
    Array array;            // empty until computed, or if pulled
    std::unique_ptr<IndexProgram> map;
    std::vector<int64_t> index;  // scratch: the index of operand 0
  };

  void resolve_shapes();
  void plan();
  bool should_pull(Value v) const;
  // How many elements of the operand one evaluation of all of `v` reads.
  double visits(Value v, size_t operand) const;

  // An element of a stored or pulled node.
  Number element(Value v, const int64_t* index);
  Number compute(Value v, const int64_t* index);
  Number reindexed(Value v, const int64_t* index);
  // Evaluates the map of a reindex or scatter into `entry.index`; false if it is out of range.
  bool map_index(Value v, const int64_t* index, size_t first_index_operand);
  [[noreturn]] void out_of_range(Value v, const int64_t* position, size_t position_rank,
                                 size_t axis) const;
  std::string origin_name(Value v) const;

  // Fill the node's array.
  void store(Value v);
  void store_elementwise(Value v);
  void store_random(Value v);
  void store_reduce(Value v);
  void store_scatter(Value v);
  void store_concat(Value v);
  void store_scan(Value v);
  void store_sort(Value v);
  Array& allocate(Value v);

  const Graph& graph_;
  const std::map<std::string, Array>& inputs_;
  SymbolValues symbols_;
  std::vector<Entry> entries_;
};

}  // namespace plait
