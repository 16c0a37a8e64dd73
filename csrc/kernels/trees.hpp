// Tree ensembles: which leaves rows reach, and exact Shapley values of the sum of the leaves.
//
// Rows are compared in double: the Python face has rounded them to what the model compares in, and
// widening changes no comparison.
#pragma once

#include <cstdint>
#include <vector>

#include "onnxplain/tensor_view.hpp"

namespace onnxplain {

// What a node asks; numbered as in onnxplain/kernels/ensemble.py.
enum class TreeMode : std::int32_t { leq, lt, gte, gt, eq, neq, member, leaf };

// The arrays of onnxplain.kernels.ensemble.Ensemble; every child comes after its parent.
struct Trees {
  Vector<const std::int32_t> feature, mode, true_child, false_child;
  Vector<const double> threshold;
  Vector<const std::uint8_t> missing_true;
  Vector<const std::int32_t> member_start;
  Vector<const double> members;
  Vector<const std::int32_t> leaf_start, leaf_target;
  Vector<const double> leaf_weight;
  Vector<const std::int32_t> roots;
  std::int64_t scores;

  ONNXPLAIN_HOST_DEVICE TreeMode mode_of(std::int64_t node) const {
    return static_cast<TreeMode>(mode[node]);
  }

  // Whether a value is in the set of a node, which is sorted. Written out: nvcc leaves builtins
  // out, and std::binary_search needs them.
  ONNXPLAIN_HOST_DEVICE bool among(std::int64_t node, double x) const {
    std::int64_t low = member_start[node], high = member_start[node + 1];
    while (low < high) {
      const std::int64_t middle = (low + high) / 2;
      if (members[middle] < x) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low < member_start[node + 1] && members[low] == x;
  }

  // Whether a value goes the true way.
  ONNXPLAIN_HOST_DEVICE bool answer(std::int64_t node, double x) const {
    const double value = threshold[node];
    bool found = false;
    switch (mode_of(node)) {
      case TreeMode::leq:
        found = x <= value;
        break;
      case TreeMode::lt:
        found = x < value;
        break;
      case TreeMode::gte:
        found = x >= value;
        break;
      case TreeMode::gt:
        found = x > value;
        break;
      case TreeMode::eq:
        found = x == value;
        break;
      case TreeMode::neq:
        found = x != value;
        break;
      default:
        found = x == x && among(node, x);
    }
    return found || (missing_true[node] != 0 && x != x);
  }

  // The leaf that a row reaches from a root.
  std::int64_t leaf_of(std::int64_t root, const double* row) const {
    std::int64_t node = root;
    while (mode_of(node) != TreeMode::leaf) {
      node = answer(node, row[feature[node]]) ? true_child[node] : false_child[node];
    }
    return node;
  }
};

enum class TreeAggregate { sum, min, max };

// How the value of a coalition is defined, and how its changes are weighed.
struct TreeGame {
  Vector<const std::int32_t> players;  // the owner of each column
  std::int64_t n_players;
  int order;                         // 1: of each player, 2: of each two
  Matrix<const double> background;   // rows for what is absent; none: `covers` say it
  Vector<const double> covers;       // how much data reached each node
  Matrix<const double> weights;      // [a][b]: of a change that needs a players with, b without;
                                     // it is symmetric
  Matrix<const double> rule_points;  // [r]: points of a quadrature that is exact to degree 2 r + 1
  Matrix<const double> rule_weights;

  ONNXPLAIN_HOST_DEVICE bool interventional() const { return background.shape[0] > 0; }

  // The weight of a change that needs a players with it and b without.
  ONNXPLAIN_HOST_DEVICE double weight(int a, int b) const { return weights.row(a)[b]; }

  // What share of the data at a node goes one way; half where none came.
  double share(const Trees& trees, std::int64_t node, bool way) const {
    if (interventional()) {
      return 1.0;
    }
    const double yes = covers[trees.true_child[node]];
    const double no = covers[trees.false_child[node]];
    return yes + no > 0.0 ? (way ? yes : no) / (yes + no) : 0.5;
  }
};

// A path may ask for the columns of so many players, and go through so many nodes.
inline constexpr std::int64_t kMaxPathPlayers = 64;
inline constexpr std::int64_t kMaxTreeDepth = 4096;
inline constexpr const char* kTooManyPlayers = "a path asks for columns of more than 64 players";
inline constexpr const char* kTooDeep = "a tree is deeper than 4096 nodes";

// A table column by column.
inline std::vector<double> columns_of(Matrix<const double> x) {
  std::vector<double> found(static_cast<std::size_t>(x.size()));
  for (std::int64_t row = 0; row < x.shape[0]; ++row) {
    for (std::int64_t column = 0; column < x.shape[1]; ++column) {
      found[static_cast<std::size_t>(column * x.shape[0] + row)] = x.row(row)[column];
    }
  }
  return found;
}

// Called on the caller's thread between portions of a long computation, which what it throws ends.
using Pause = void (*)();

namespace cpu {

// Aggregates the trees in their order, in T; out is (rows, scores).
template <class T>
void tree_scores(const Trees& trees, TreeAggregate aggregate, Matrix<const double> x,
                 Matrix<T> out);

// Counts how many rows reach each node.
void tree_counts(const Trees& trees, Matrix<const double> x, Vector<double> out);

// Adds the values of the game to out, (rows, players [x players] x scores). Throws
// std::invalid_argument where a path is longer than kMaxTreeDepth or has more players than
// kMaxPathPlayers, and whatever pause() throws.
void tree_values(const Trees& trees, const TreeGame& game, Matrix<const double> x,
                 Matrix<double> out, Pause pause);

// The same as the GPU computes it, path by path; slower, and for tests.
void tree_values_by_paths(const Trees& trees, const TreeGame& game, Matrix<const double> x,
                          Matrix<double> out, Pause pause);

}  // namespace cpu

#ifdef ONNXPLAIN_WITH_CUDA
namespace cuda {

// The same; all arrays lie on the host. Throws std::runtime_error where the device fails.
void tree_values(const Trees& trees, const TreeGame& game, Matrix<const double> x,
                 Matrix<double> out, Pause pause);

}  // namespace cuda
#endif
}  // namespace onnxplain
