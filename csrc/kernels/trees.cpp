#include "kernels/trees.hpp"

#include <vector>

#include "onnxplain/parallel.hpp"

namespace onnxplain::cpu {
namespace {

// Rows that go through all trees together, so that the nodes of a tree stay in the cache.
constexpr std::int64_t kTogether = 64;

// How many rows are worth a thread: each goes through every tree.
std::int64_t grain_of(const Trees& trees) {
  return std::max<std::int64_t>(1, kGrain / (16 * std::max<std::int64_t>(trees.roots.size(), 1)));
}

}  // namespace

template <class T>
void tree_scores(const Trees& trees, TreeAggregate aggregate, Matrix<const double> x,
                 Matrix<T> out) {
  parallel_for(x.shape[0], grain_of(trees), [&](std::int64_t begin, std::int64_t end) {
    std::vector<char> seen(static_cast<std::size_t>(kTogether * trees.scores));
    for (std::int64_t first = begin; first < end; first += kTogether) {
      const std::int64_t last = std::min(first + kTogether, end);
      std::fill(seen.begin(), seen.end(), char{0});
      std::fill(out.row(first), out.row(last), T{0});
      for (std::int64_t tree = 0; tree < trees.roots.size(); ++tree) {
        for (std::int64_t row = first; row < last; ++row) {
          const std::int64_t leaf = trees.leaf_of(trees.roots[tree], x.row(row));
          for (std::int64_t k = trees.leaf_start[leaf]; k < trees.leaf_start[leaf + 1]; ++k) {
            T& sum = out.row(row)[trees.leaf_target[k]];
            const T weight = static_cast<T>(trees.leaf_weight[k]);
            char& was =
                seen[static_cast<std::size_t>((row - first) * trees.scores + trees.leaf_target[k])];
            if (aggregate == TreeAggregate::sum) {
              sum += weight;
            } else if (was == 0 ||
                       (aggregate == TreeAggregate::min ? weight < sum : weight > sum)) {
              sum = weight;
            }
            was = 1;
          }
        }
      }
    }
  });
}

template void tree_scores(const Trees&, TreeAggregate, Matrix<const double>, Matrix<float>);
template void tree_scores(const Trees&, TreeAggregate, Matrix<const double>, Matrix<double>);

void tree_counts(const Trees& trees, Matrix<const double> x, Vector<double> out) {
  std::fill(out.data, out.data + out.size(), 0.0);
  parallel_for(trees.roots.size(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t tree = begin; tree < end; ++tree) {
      for (std::int64_t row = 0; row < x.shape[0]; ++row) {
        std::int64_t node = trees.roots[tree];
        out[node] += 1.0;
        while (trees.mode_of(node) != TreeMode::leaf) {
          const bool way = trees.answer(node, x.row(row)[trees.feature[node]]);
          node = way ? trees.true_child[node] : trees.false_child[node];
          out[node] += 1.0;
        }
      }
    }
  });
}

}  // namespace onnxplain::cpu
