// Exact Shapley values of trees, with rows grouped by what they answer on the way to a leaf.
//
// Going down a tree, a row is known by its mask: bit i says whether it agrees with the i-th player
// on the way, that is, answers all nodes of that player's columns as the way goes. What a leaf
// gives to the players depends on the masks of the explained row and of the background row alone,
// so both kinds of rows are kept in groups of equal masks, and with each group of explained rows
// the groups of background rows with which the leaf can still be reached (in each player, one of
// the two agrees). Per leaf with k players there are at most 3^k such pairs, and never more than
// pairs of groups. So each tree costs O(nodes (rows + background)) for the groups, the pairs, and
// O(rows k) at each leaf.
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "kernels/tree_credit.hpp"
#include "kernels/tree_groups.hpp"
#include "kernels/trees.hpp"
#include "onnxplain/parallel.hpp"

namespace onnxplain::cpu {
namespace {

// Rows of one thread that are grouped together.
constexpr std::int64_t kBlock = std::int64_t{1} << 16;
constexpr std::int64_t kPairBlock = std::int64_t{1} << 12;

// One block of rows on its way through all trees.
class Walk {
 public:
  Walk(const Trees& trees, const TreeGame& game, const std::vector<double>& background,
       Matrix<const double> x, Matrix<double> out)
      : trees_(trees),
        game_(game),
        background_(background),
        columns_(columns_of(x)),
        rows_(x.shape[0]),
        out_(out),
        slot_of_(size_of(game.n_players), -1) {}

  void run() {
    for (std::int64_t tree = 0; tree < trees_.roots.size(); ++tree) {
      Level& level = level_at(0);
      level.x.start(rows_);
      if (interventional()) {
        level.b.start(game_.background.shape[0]);
        level.pairs.start = {0, 1};
        level.pairs.other = {0};
      }
      const std::int64_t root = trees_.roots[tree];
      if (trees_.mode_of(root) != TreeMode::leaf) {
        descend(root, 0);
      }
    }
  }

 private:
  bool interventional() const { return game_.interventional(); }

  Level& level_at(std::int64_t depth) {
    while (static_cast<std::int64_t>(levels_.size()) <= depth) {
      levels_.push_back(std::make_unique<Level>());
    }
    return *levels_[size_of(depth)];
  }

  void ask(std::int64_t node, Side& side, const double* column) const {
    side.answer.resize(side.row.size());
    side.tally.assign(2 * side.mask.size(), 0);
    const auto fill = [&](const auto& found) {
      const bool missing = trees_.missing_true[node] != 0;
      for (std::size_t i = 0; i < side.row.size(); ++i) {
        const double x = column[side.row[i]];
        side.answer[i] = static_cast<std::uint8_t>(found(x) | (missing & (x != x)));
        ++side.tally[2 * size_of(side.group[i]) + side.answer[i]];
      }
    };
    const double value = trees_.threshold[node];
    switch (trees_.mode_of(node)) {
      case TreeMode::leq:
        return fill([=](double x) { return x <= value; });
      case TreeMode::lt:
        return fill([=](double x) { return x < value; });
      default:
        return fill([&](double x) { return trees_.answer(node, x); });
    }
  }

  void descend(std::int64_t node, std::int64_t depth) {
    if (depth >= kMaxTreeDepth) {
      throw std::invalid_argument(kTooDeep);
    }
    Level& level = level_at(depth);
    const std::int64_t column = trees_.feature[node];
    const Index player = game_.players[column];
    Index& slot = slot_of_[size_of(player)];
    const bool fresh = slot < 0;
    if (fresh) {
      if (static_cast<std::int64_t>(owners_.size()) == kMaxPathPlayers) {
        throw std::invalid_argument(kTooManyPlayers);
      }
      slot = static_cast<Index>(owners_.size());
      owners_.push_back(player);
      shares_.push_back(1.0);
    }
    ask(node, level.x, columns_.data() + column * rows_);
    if (interventional()) {
      ask(node, level.b, background_.data() + column * game_.background.shape[0]);
    }
    const double before = shares_[size_of(slot)];
    for (const bool way : {true, false}) {
      shares_[size_of(slot)] = before * game_.share(trees_, node, way);
      follow(node, way, depth, slot, fresh);
    }
    shares_[size_of(slot)] = before;
    if (fresh) {
      owners_.pop_back();
      shares_.pop_back();
      slot = -1;
    }
  }

  void follow(std::int64_t node, bool way, std::int64_t depth, Index slot, bool fresh) {
    const std::int64_t child = way ? trees_.true_child[node] : trees_.false_child[node];
    Level& above = *levels_[size_of(depth)];
    Level& below = level_at(depth + 1);
    step_x_.advance(above.x, way, slot, fresh);
    if (interventional()) {
      step_b_.advance(above.b, way, slot, fresh);
      pairing_.find(full_mask(static_cast<int>(owners_.size())), step_x_, step_b_, above.pairs,
                    below.pairs);
    }
    if (step_x_.mask.empty()) {
      return;
    }
    if (trees_.mode_of(child) == TreeMode::leaf) {
      credit(child, above.x, below.pairs);
      return;
    }
    keep(above.x, step_x_, below.x);
    if (interventional()) {
      keep(above.b, step_b_, below.b);
    }
    descend(child, depth + 1);
  }

  // What a leaf gives to the players of each group, and so to its rows.
  void credit(std::int64_t leaf, const Side& side, const Pairs& pairs) {
    const int players = static_cast<int>(owners_.size());
    const std::size_t k = owners_.size(), width = game_.order == 1 ? k : k * k;
    share_of_.assign(step_x_.mask.size() * width, 0.0);
    for (std::size_t group = 0; group < step_x_.mask.size(); ++group) {
      double* given = share_of_.data() + group * width;
      if (!interventional()) {
        game_.order == 1 ? path_single(game_, players, step_x_.mask[group], shares_.data(), given)
                         : path_double(game_, players, step_x_.mask[group], shares_.data(), given);
        continue;
      }
      for (std::int64_t i = pairs.start[group]; i < pairs.start[group + 1]; ++i) {
        const std::size_t other = size_of(pairs.other[size_of(i)]);
        const double share = step_b_.count[other] / static_cast<double>(game_.background.shape[0]);
        const Mask own = step_x_.mask[group], theirs = step_b_.mask[other];
        game_.order == 1 ? pair_single(game_, players, own, theirs, share, given)
                         : pair_double(game_, players, own, theirs, share, given);
      }
    }
    for (std::int64_t entry = trees_.leaf_start[leaf]; entry < trees_.leaf_start[leaf + 1];
         ++entry) {
      give(side, trees_.leaf_weight[entry], trees_.leaf_target[entry]);
    }
  }

  void give(const Side& side, double weight, std::int64_t target) {
    const std::size_t k = owners_.size();
    offsets_.clear();
    for (std::size_t i = 0; i < k; ++i) {
      if (game_.order == 1) {
        offsets_.push_back(owners_[i] * trees_.scores + target);
        continue;
      }
      for (std::size_t j = 0; j < k; ++j) {
        offsets_.push_back((owners_[i] * game_.n_players + owners_[j]) * trees_.scores + target);
      }
    }
    weighted_.resize(share_of_.size());
    for (std::size_t i = 0; i < share_of_.size(); ++i) {
      weighted_[i] = share_of_[i] * weight;
    }
    const std::size_t width = offsets_.size();
    for (std::size_t i = 0; i < side.row.size(); ++i) {
      const Index group = step_x_.next[2 * size_of(side.group[i]) + side.answer[i]];
      if (group < 0) {
        continue;
      }
      const double* given = weighted_.data() + size_of(group) * width;
      double* row = out_.row(side.row[i]);
      for (std::size_t j = 0; j < width; ++j) {
        row[offsets_[j]] += given[j];
      }
    }
  }

  const Trees& trees_;
  const TreeGame& game_;
  const std::vector<double>& background_;  // column by column
  std::vector<double> columns_;            // of the explained rows
  std::int64_t rows_;
  Matrix<double> out_;

  std::vector<Index> slot_of_;  // the place of a player on the way, -1 if it is not on it
  std::vector<Index> owners_;   // the players on the way
  std::vector<double> shares_;  // of the data, along each player's nodes
  std::vector<std::unique_ptr<Level>> levels_;
  Step step_x_, step_b_;
  Pairing pairing_;
  std::vector<double> share_of_, weighted_;
  std::vector<std::int64_t> offsets_;
};

}  // namespace

void tree_values(const Trees& trees, const TreeGame& game, Matrix<const double> x,
                 Matrix<double> out) {
  const std::vector<double> background = columns_of(game.background);
  const std::int64_t block = game.order == 1 ? kBlock : kPairBlock;
  std::exception_ptr error;
  std::mutex guard;
  parallel_for(x.shape[0], 16, [&](std::int64_t begin, std::int64_t end) {
    try {
      for (std::int64_t first = begin; first < end; first += block) {
        const std::int64_t rows = std::min(block, end - first);
        const Matrix<const double> part{x.row(first), {rows, x.shape[1]}, {x.strides[0], 1}};
        const Matrix<double> to{out.row(first), {rows, out.shape[1]}, {out.strides[0], 1}};
        Walk(trees, game, background, part, to).run();
      }
    } catch (...) {
      const std::lock_guard lock(guard);
      error = std::current_exception();
    }
  });
  if (error) {
    std::rethrow_exception(error);
  }
}

}  // namespace onnxplain::cpu
