#include "tree_bindings.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "array_views.hpp"
#include "kernels/trees.hpp"
#include "onnxplain/check.hpp"

namespace onnxplain {
namespace {

// Nodes, rows of a block and players are counted in 32 bits.
constexpr std::int64_t kMaxIndex = std::numeric_limits<std::int32_t>::max();

bool within(std::int64_t value, std::int64_t low, std::int64_t high) {
  return low <= value && value < high;
}

// The arrays of an ensemble, kept alive as long as the kernels read them.
class TreeArrays {
 public:
  TreeArrays(Array<std::int32_t> feature, Array<std::int32_t> mode, Array<double> threshold,
             Array<std::int32_t> true_child, Array<std::int32_t> false_child,
             Array<bool> missing_true, Array<std::int32_t> member_start, Array<double> members,
             Array<std::int32_t> leaf_start, Array<std::int32_t> leaf_target,
             Array<double> leaf_weight, Array<std::int32_t> roots, std::int64_t scores)
      : ints_{feature, mode, true_child, false_child, member_start, leaf_start, leaf_target, roots},
        doubles_{threshold, members, leaf_weight},
        missing_(missing_true) {
    trees_ = {vector(ints_[0], "feature"),
              vector(ints_[1], "mode"),
              vector(ints_[2], "true_child"),
              vector(ints_[3], "false_child"),
              vector(doubles_[0], "threshold"),
              vector_view(reinterpret_cast<const std::uint8_t*>(missing_.data()), missing_.size()),
              vector(ints_[4], "member_start"),
              vector(doubles_[1], "members"),
              vector(ints_[5], "leaf_start"),
              vector(ints_[6], "leaf_target"),
              vector(doubles_[2], "leaf_weight"),
              vector(ints_[7], "roots"),
              scores};
    const std::int64_t nodes = trees_.mode.size();
    require(trees_.feature.size() == nodes && trees_.true_child.size() == nodes &&
                trees_.false_child.size() == nodes && trees_.threshold.size() == nodes &&
                trees_.missing_true.size() == nodes && trees_.member_start.size() == nodes + 1 &&
                trees_.leaf_start.size() == nodes + 1 &&
                trees_.leaf_target.size() == trees_.leaf_weight.size(),
            "the arrays of the nodes differ in size");
    check(nodes);
  }

  const Trees& trees() const { return trees_; }

  // Returns a table that has all columns that are asked for.
  Matrix<const double> table(const Array<double>& x, const char* name) const {
    const auto view = matrix(x, name);
    require(view.shape[1] > last_column_, std::string(name) + " has too few columns");
    return view;
  }

 private:
  // What a kernel follows must exist, and lead on; no node is reached in two ways, for threads
  // take trees.
  void check(std::int64_t nodes) {
    std::vector<bool> reached(static_cast<std::size_t>(nodes));
    const auto first_time = [&](std::int64_t node) {
      const bool before = reached[static_cast<std::size_t>(node)];
      reached[static_cast<std::size_t>(node)] = true;
      return !before;
    };
    bool fits = within(trees_.scores, 0, kMaxIndex) && nodes < kMaxIndex;
    for (std::int64_t k = 0; k < nodes && fits; ++k) {
      fits = within(trees_.mode[k], 0, 8) &&
             within(trees_.member_start[k], 0, trees_.member_start[k + 1] + 1) &&
             within(trees_.leaf_start[k], 0, trees_.leaf_start[k + 1] + 1);
      if (fits && trees_.mode_of(k) != TreeMode::leaf) {
        fits = trees_.feature[k] >= 0 && within(trees_.true_child[k], k + 1, nodes) &&
               within(trees_.false_child[k], k + 1, nodes) && first_time(trees_.true_child[k]) &&
               first_time(trees_.false_child[k]);
        last_column_ = std::max<std::int64_t>(last_column_, trees_.feature[k]);
      }
    }
    for (std::int64_t k = 0; k < trees_.roots.size() && fits; ++k) {
      fits = within(trees_.roots[k], 0, nodes) && first_time(trees_.roots[k]);
    }
    for (std::int64_t k = 0; k < trees_.leaf_target.size() && fits; ++k) {
      fits = within(trees_.leaf_target[k], 0, trees_.scores);
    }
    fits = fits && trees_.member_start[nodes] <= trees_.members.size() &&
           trees_.leaf_start[nodes] <= trees_.leaf_weight.size();
    require(fits, "the arrays do not describe trees");
  }

  Array<std::int32_t> ints_[8];
  Array<double> doubles_[3];
  Array<bool> missing_;
  Trees trees_{};
  std::int64_t last_column_ = -1;
};

template <class T>
void tree_scores(const TreeArrays& arrays, const std::string& aggregate, const Array<double>& x,
                 Array<T>& out) {
  const auto view = arrays.table(x, "x");
  const auto to = writable_matrix(out, "out");
  require_shape(to, view.shape[0], arrays.trees().scores, "out");
  const bool sum = aggregate == "SUM" || aggregate == "AVERAGE";
  require(sum || aggregate == "MIN" || aggregate == "MAX",
          "aggregate must be SUM, AVERAGE, MIN or MAX, not " + aggregate);
  const TreeAggregate how = sum                  ? TreeAggregate::sum
                            : aggregate == "MIN" ? TreeAggregate::min
                                                 : TreeAggregate::max;
  const py::gil_scoped_release release;
  cpu::tree_scores(arrays.trees(), how, view, to);
}

using Values = void (*)(const Trees&, const TreeGame&, Matrix<const double>, Matrix<double>, Pause);

// Handles what the user signals (Ctrl-C) while a kernel runs.
void heed_signals() {
  const py::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() != 0) {
    throw py::error_already_set();
  }
}

void tree_values(Values run, const TreeArrays& arrays, const Array<double>& x,
                 const Array<double>& background, const Array<double>& covers,
                 const Array<std::int32_t>& players, std::int64_t n_players, int order,
                 const Array<double>& weights, const Array<double>& rule_points,
                 const Array<double>& rule_weights, Array<double>& out) {
  const auto view = arrays.table(x, "x");
  const TreeGame game{vector(players, "players"),
                      n_players,
                      order,
                      matrix(background, "background"),
                      vector(covers, "covers"),
                      matrix(weights, "weights"),
                      matrix(rule_points, "rule_points"),
                      matrix(rule_weights, "rule_weights")};
  const bool by_covers = game.background.shape[0] == 0;
  require(order == 1 || order == 2, "order must be 1 or 2");
  require(within(n_players, 0, kMaxIndex) && view.shape[0] < kMaxIndex &&
              game.background.shape[0] < kMaxIndex,
          "there are more than 2^31 - 1 rows or players");
  require(by_covers || game.background.shape[1] == view.shape[1], "background has the wrong shape");
  require(!by_covers || game.covers.size() == arrays.trees().mode.size(),
          "covers has the wrong shape");
  require(game.players.size() == view.shape[1], "players has the wrong shape");
  for (std::int64_t k = 0; k < game.players.size(); ++k) {
    require(game.players[k] >= 0 && game.players[k] < n_players, "players are out of range");
  }
  require_shape(game.weights, kMaxPathPlayers + 1, kMaxPathPlayers + 1, "weights");
  require_shape(game.rule_points, kMaxPathPlayers / 2 + 1, kMaxPathPlayers / 2 + 1, "rule_points");
  require_shape(game.rule_weights, kMaxPathPlayers / 2 + 1, kMaxPathPlayers / 2 + 1,
                "rule_weights");
  const auto to = writable_matrix(out, "out");
  require_shape(to, view.shape[0],
                (order == 1 ? n_players : n_players * n_players) * arrays.trees().scores, "out");
  const py::gil_scoped_release release;
  run(arrays.trees(), game, view, to, &heed_signals);
}

void bind_values(py::module_& m, const char* name, Values run) {
  using Doubles = Array<double>;
  const auto arg = [](const char* argument) { return py::arg(argument).noconvert(); };
  m.def(
      name,
      [run](const TreeArrays& arrays, const Doubles& x, const Doubles& background,
            const Doubles& covers, const Array<std::int32_t>& players, std::int64_t n_players,
            int order, const Doubles& weights, const Doubles& rule_points,
            const Doubles& rule_weights, Doubles& out) {
        tree_values(run, arrays, x, background, covers, players, n_players, order, weights,
                    rule_points, rule_weights, out);
      },
      py::arg("trees"), arg("x"), arg("background"), arg("covers"), arg("players"),
      py::arg("n_players"), py::arg("order"), arg("weights"), arg("rule_points"),
      arg("rule_weights"), arg("out"));
}

}  // namespace

void bind_trees(py::module_& m) {
  using Ints = Array<std::int32_t>;
  using Doubles = Array<double>;
  const auto arg = [](const char* name) { return py::arg(name).noconvert(); };
  py::class_<TreeArrays>(m, "Trees", "The arrays of an ensemble, checked once.")
      .def(py::init<Ints, Ints, Doubles, Ints, Ints, Array<bool>, Ints, Doubles, Ints, Ints,
                    Doubles, Ints, std::int64_t>(),
           arg("feature"), arg("mode"), arg("threshold"), arg("true_child"), arg("false_child"),
           arg("missing_true"), arg("member_start"), arg("members"), arg("leaf_start"),
           arg("leaf_target"), arg("leaf_weight"), arg("roots"), py::arg("scores"));
  m.def("tree_scores", &tree_scores<float>, py::arg("trees"), py::arg("aggregate"), arg("x"),
        arg("out"));
  m.def("tree_scores", &tree_scores<double>, py::arg("trees"), py::arg("aggregate"), arg("x"),
        arg("out"));
  m.def(
      "tree_counts",
      [](const TreeArrays& arrays, const Doubles& x, Doubles& out) {
        const auto view = arrays.table(x, "x");
        require_axes(out, 1, "out");
        require(out.size() == arrays.trees().mode.size(), "out has the wrong shape");
        const auto to = vector_view(out.mutable_data(), out.size());
        const py::gil_scoped_release release;
        cpu::tree_counts(arrays.trees(), view, to);
      },
      py::arg("trees"), arg("x"), arg("out"));
  bind_values(m, "tree_values", &cpu::tree_values);
  bind_values(m, "tree_values_by_paths", &cpu::tree_values_by_paths);
#ifdef ONNXPLAIN_WITH_CUDA
  py::module_ device = m.def_submodule("cuda");
  bind_values(device, "tree_values", &cuda::tree_values);
#endif
}

}  // namespace onnxplain
