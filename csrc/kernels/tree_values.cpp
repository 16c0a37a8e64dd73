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
#include <algorithm>
#include <memory>
#include <stdexcept>
#include <vector>

#include "kernels/tree_credit.hpp"
#include "kernels/tree_groups.hpp"
#include "kernels/trees.hpp"
#include "onnxplain/parallel.hpp"

namespace onnxplain::cpu {
namespace {

// Trees whose values are added up before they are added to those of the trees before: so many that
// their leaves outnumber the values of a row, and always as many, so that no bit depends on the
// number of threads, or on what other rows there are.
std::int64_t together(const Trees& trees, std::int64_t width) {
  const std::int64_t each = trees.mode.size() / std::max<std::int64_t>(trees.roots.size(), 1);
  return std::max<std::int64_t>(16, 4 * width / std::max<std::int64_t>(each, 1));
}

// Rows that are grouped together, and numbers that one thread keeps of a block of rows.
constexpr std::int64_t kBlock = std::int64_t{1} << 16;
constexpr std::int64_t kPairBlock = std::int64_t{1} << 12;
constexpr std::int64_t kRoom = std::int64_t{1} << 22;
// Rows that are worth a thread.
constexpr std::int64_t kGrainRows = 16;

// A table column by column, of which some rows are meant.
struct Columns {
  const double* data;
  std::int64_t height, first, rows;

  const double* column(std::int64_t k) const { return data + k * height + first; }
};

// Rows on their way through trees.
class Walk {
 public:
  Walk(const Trees& trees, const TreeGame& game, Columns background, Columns x, Matrix<double> out)
      : trees_(trees),
        game_(game),
        background_(background),
        x_(x),
        out_(out),
        slot_of_(size_of(game.n_players), -1) {}

  void run(std::int64_t first, std::int64_t last) {
    for (std::int64_t tree = first; tree < last; ++tree) {
      Level& level = level_at(0);
      level.x.start(x_.rows);
      if (interventional()) {
        level.b.start(background_.rows);
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
    ask(node, level.x, x_.column(column));
    if (interventional()) {
      ask(node, level.b, background_.column(column));
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
    if (interventional()) {
      weigh_background(players);
    }
    for (std::size_t group = 0; group < step_x_.mask.size(); ++group) {
      double* given = share_of_.data() + group * width;
      const Mask own = step_x_.mask[group];
      if (interventional()) {
        against(pairs, group, own, players, given);
      } else if (game_.order == 1) {
        path_single(game_, players, own, shares_.data(), given);
      } else {
        path_double(game_, players, own, shares_.data(), given);
      }
    }
    for (std::int64_t entry = trees_.leaf_start[leaf]; entry < trees_.leaf_start[leaf + 1];
         ++entry) {
      give(side, trees_.leaf_weight[entry], trees_.leaf_target[entry]);
    }
  }

  // What share of the background each of its groups is, and how many players it lacks.
  void weigh_background(int players) {
    lacking_.resize(step_b_.mask.size());
    for (std::size_t q = 0; q < lacking_.size(); ++q) {
      lacking_[q] = lacking(players, step_b_.mask[q]);
      step_b_.count[q] /= static_cast<double>(background_.rows);
    }
  }

  void against(const Pairs& pairs, std::size_t group, Mask own, int players, double* given) const {
    const int b = lacking(players, own);
    double lost = 0.0;
    for (std::int64_t i = pairs.start[group]; i < pairs.start[group + 1]; ++i) {
      const std::size_t q = size_of(pairs.other[size_of(i)]);
      const Mask other = step_b_.mask[q];
      if (game_.order == 1) {
        lost += pair_single(game_, players, lacking_[q], b, other, step_b_.count[q], given);
      } else {
        pair_double(game_, players, lacking_[q], b, own, other, step_b_.count[q], given);
      }
    }
    if (game_.order == 1) {
      lose(players, own, lost, given);
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
  Columns background_, x_;
  Matrix<double> out_;

  std::vector<Index> slot_of_;  // the place of a player on the way, -1 if it is not on it
  std::vector<Index> owners_;   // the players on the way
  std::vector<double> shares_;  // of the data, along each player's nodes
  std::vector<std::unique_ptr<Level>> levels_;
  Step step_x_, step_b_;
  Pairing pairing_;
  std::vector<double> share_of_, weighted_;
  std::vector<int> lacking_;  // players that each group of background rows disagrees with
  std::vector<std::int64_t> offsets_;
};

// All trees for one block of rows: threads take trees, and share the rows if there are fewer trees.
class Block {
 public:
  Block(const Trees& trees, const TreeGame& game, Columns background, Columns x, Matrix<double> out)
      : trees_(trees),
        game_(game),
        background_(background),
        x_(x),
        out_(out),
        together_(together(trees, out.shape[1])) {
    const std::int64_t threads = max_threads(), size = trees.roots.size();
    chunks_ = std::clamp<std::int64_t>((size + together_ - 1) / together_, 1, threads);
    const std::int64_t enough = std::max<std::int64_t>(1, x.rows / kGrainRows);
    parts_ = std::min((threads + chunks_ - 1) / chunks_, enough);
  }

  void run(Pause pause) {
    std::vector<double> sums(size_of(chunks_ * out_.size()));
    for (std::int64_t first = 0; first < trees_.roots.size(); first += chunks_ * together_) {
      pause();
      std::fill(sums.begin(), sums.end(), 0.0);
      parallel_for(chunks_ * parts_, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t task = begin; task < end; ++task) {
          const std::int64_t chunk = task / parts_;
          some(first + chunk * together_, task % parts_, sums.data() + chunk * out_.size());
        }
      });
      for (std::int64_t chunk = 0; chunk < chunks_; ++chunk) {
        const double* of_chunk = sums.data() + chunk * out_.size();
        for (std::int64_t i = 0; i < out_.size(); ++i) {
          out_.data[i] += of_chunk[i];
        }
      }
    }
  }

 private:
  // Some trees for some rows.
  void some(std::int64_t tree, std::int64_t part, double* sums) const {
    const std::int64_t begin = x_.rows * part / parts_, end = x_.rows * (part + 1) / parts_;
    const Columns rows{x_.data, x_.height, x_.first + begin, end - begin};
    const std::int64_t width = out_.shape[1];
    const Matrix<double> to = matrix_view(sums + begin * width, end - begin, width);
    const std::int64_t last = std::min(tree + together_, trees_.roots.size());
    Walk(trees_, game_, background_, rows, to).run(tree, last);
  }

  const Trees& trees_;
  const TreeGame& game_;
  Columns background_, x_;
  Matrix<double> out_;
  std::int64_t together_;        // trees of a chunk
  std::int64_t chunks_, parts_;  // at once
};

}  // namespace

void tree_values(const Trees& trees, const TreeGame& game, Matrix<const double> x,
                 Matrix<double> out, Pause pause) {
  const std::vector<double> background = columns_of(game.background);
  const std::int64_t references = game.background.shape[0];
  const std::int64_t width = std::max(x.shape[1], out.shape[1]);
  const std::int64_t height = std::clamp<std::int64_t>(kRoom / std::max<std::int64_t>(width, 1), 1,
                                                       game.order == 1 ? kBlock : kPairBlock);
  for (std::int64_t first = 0; first < x.shape[0]; first += height) {
    const std::int64_t rows = std::min(height, x.shape[0] - first);
    const std::vector<double> columns =
        columns_of({x.row(first), {rows, x.shape[1]}, {x.strides[0], 1}});
    Block(trees, game, {background.data(), references, 0, references},
          {columns.data(), rows, 0, rows}, matrix_view(out.row(first), rows, out.shape[1]))
        .run(pause);
  }
}

}  // namespace onnxplain::cpu
