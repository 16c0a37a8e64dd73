// Exact Shapley values of trees on a machine that has memory of its own, in blocks of rows and of
// leaves; tree_stages.hpp says what is computed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "kernels/tree_stages.hpp"

namespace onnxplain::paths {

// Numbers in memory at once: entries and masks of a block of leaves, or values of a block of rows.
inline constexpr std::int64_t kRoom = std::int64_t{1} << 25;
inline constexpr std::int64_t kRows = std::int64_t{1} << 16;
inline constexpr std::int64_t kPairRows = std::int64_t{1} << 12;

// Walks through all trees and hands on their leaves, as many at a time as there is room for.
template <class Full>
class Collector {
 public:
  Collector(const Trees& trees, const TreeGame& game, std::int64_t rows, const Full& full)
      : trees_(trees),
        game_(game),
        rows_(rows),
        full_(full),
        slot_of_(static_cast<std::size_t>(game.n_players), -1) {}

  void run() {
    clear();
    for (std::int64_t tree = 0; tree < trees_.roots.size(); ++tree) {
      descend(trees_.roots[tree]);
    }
    flush();
  }

 private:
  void descend(std::int64_t node) {
    if (trees_.mode_of(node) == TreeMode::leaf) {
      if (!nodes_.empty() && trees_.leaf_start[node] < trees_.leaf_start[node + 1]) {
        keep(node);
      }
      return;
    }
    if (static_cast<std::int64_t>(nodes_.size()) >= kMaxTreeDepth) {
      throw std::invalid_argument(kTooDeep);
    }
    const std::int32_t player = game_.players[trees_.feature[node]];
    std::int32_t& slot = slot_of_[static_cast<std::size_t>(player)];
    const bool fresh = slot < 0;
    if (fresh) {
      if (static_cast<std::int64_t>(owners_.size()) == kMaxPathPlayers) {
        throw std::invalid_argument(kTooManyPlayers);
      }
      slot = static_cast<std::int32_t>(owners_.size());
      owners_.push_back(player);
      shares_.push_back(1.0);
    }
    const auto place = static_cast<std::size_t>(slot);
    const double before = shares_[place];
    for (const bool way : {true, false}) {
      shares_[place] = before * game_.share(trees_, node, way);
      nodes_.push_back(static_cast<std::int32_t>(node));
      slots_.push_back(slot);
      ways_.push_back(way ? 1 : 0);
      descend(way ? trees_.true_child[node] : trees_.false_child[node]);
      nodes_.pop_back();
      slots_.pop_back();
      ways_.pop_back();
    }
    shares_[place] = before;
    if (fresh) {
      owners_.pop_back();
      shares_.pop_back();
      slot = -1;
    }
  }

  void keep(std::int64_t leaf) {
    const auto k = static_cast<std::int64_t>(owners_.size());
    const std::int64_t entries = k <= kTabled ? std::int64_t{1} << k : rows_;
    const std::int64_t credit = entries * (game_.order == 1 ? k : k * k);
    const std::int64_t references = !game_.interventional() ? 0
                                    : k <= kTabled          ? entries
                                                            : game_.background.shape[0];
    const auto length = static_cast<std::int64_t>(nodes_.size());
    if (used_ > 0 && used_ + credit + references + length > kRoom) {
      flush();
    }
    used_ += credit + references + length;
    leaves_.leaf.push_back(static_cast<std::int32_t>(leaf));
    append(leaves_.node, nodes_);
    append(leaves_.slot, slots_);
    append(leaves_.way, ways_);
    append(leaves_.owner, owners_);
    append(leaves_.share, shares_);
    leaves_.node_start.push_back(static_cast<std::int64_t>(leaves_.node.size()));
    leaves_.owner_start.push_back(static_cast<std::int64_t>(leaves_.owner.size()));
    leaves_.entry_start.push_back(leaves_.entry_start.back() + entries);
    leaves_.credit_start.push_back(leaves_.credit_start.back() + credit);
    leaves_.background_start.push_back(leaves_.background_start.back() + references);
  }

  template <class T>
  static void append(std::vector<T>& to, const std::vector<T>& from) {
    to.insert(to.end(), from.begin(), from.end());
  }

  void flush() {
    if (!leaves_.leaf.empty()) {
      full_(leaves_);
      clear();
    }
  }

  void clear() {
    leaves_ = {};
    for (auto* start : {&leaves_.node_start, &leaves_.owner_start, &leaves_.entry_start,
                        &leaves_.credit_start, &leaves_.background_start}) {
      start->push_back(0);
    }
    used_ = 0;
  }

  const Trees& trees_;
  const TreeGame& game_;
  std::int64_t rows_;
  const Full& full_;
  std::vector<std::int32_t> slot_of_, owners_, nodes_, slots_, ways_;
  std::vector<double> shares_;
  Leaves<OnHost> leaves_;
  std::int64_t used_ = 0;
};

// Copies of arrays on a machine, released with it. A machine has
//   template <class T> T* allocate(std::int64_t);   zeros; released by release()
//   void release(void*);
//   template <class T> void up(const T* from, T* to, std::int64_t);
//   template <class T> void down(const T* from, T* to, std::int64_t);
//   template <class Stage> void run(const Stage&);  calls it with each of stage.items() items
template <class Machine>
class Memory {
 public:
  explicit Memory(Machine& machine) : machine_(machine) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    for (void* pointer : held_) {
      machine_.release(pointer);
    }
  }

  template <class T>
  T* zeros(std::int64_t size) {
    held_.reserve(held_.size() + 1);
    T* made = machine_.template allocate<T>(size);
    held_.push_back(made);
    return made;
  }

  template <class T>
  const T* copy(const T* from, std::int64_t size) {
    T* made = zeros<T>(size);
    machine_.up(from, made, size);
    return made;
  }

  template <class T>
  const T* copy(const std::vector<T>& from) {
    return copy(from.data(), static_cast<std::int64_t>(from.size()));
  }

  template <class T>
  void move(Vector<const T>& view) {
    view.data = copy(view.data, view.size());
  }

  void move(Matrix<const double>& view) { view.data = copy(view.data, view.size()); }

 private:
  Machine& machine_;
  std::vector<void*> held_;
};

template <class Machine>
void move(Memory<Machine>& memory, Trees& trees) {
  memory.move(trees.feature);
  memory.move(trees.mode);
  memory.move(trees.threshold);
  memory.move(trees.missing_true);
  memory.move(trees.member_start);
  memory.move(trees.members);
  memory.move(trees.leaf_start);
  memory.move(trees.leaf_target);
  memory.move(trees.leaf_weight);
}

template <class Machine>
Leaves<Pointer> copies(Memory<Machine>& memory, const Leaves<OnHost>& leaves) {
  return {memory.copy(leaves.leaf),
          memory.copy(leaves.node_start),
          memory.copy(leaves.node),
          memory.copy(leaves.slot),
          memory.copy(leaves.way),
          memory.copy(leaves.owner_start),
          memory.copy(leaves.owner),
          memory.copy(leaves.share),
          memory.copy(leaves.entry_start),
          memory.copy(leaves.credit_start),
          memory.copy(leaves.background_start)};
}

// Adds the values of the game to out, as cpu::tree_values does.
template <class Machine>
void tree_values_on(Machine& machine, const Trees& trees, const TreeGame& game,
                    Matrix<const double> x, Matrix<double> out, Pause pause) {
  if (out.size() == 0) {
    return;
  }
  Memory<Machine> memory(machine);
  Block block{};
  block.trees = trees;
  block.game = game;
  move(memory, block.trees);
  memory.move(block.game.weights);
  memory.move(block.game.rule_points);
  memory.move(block.game.rule_weights);
  block.background = memory.copy(columns_of(game.background));
  const std::int64_t height =
      std::clamp<std::int64_t>(kRoom / out.shape[1], 1, game.order == 1 ? kRows : kPairRows);
  for (std::int64_t first = 0; first < x.shape[0]; first += height) {
    const std::int64_t rows = std::min(height, x.shape[0] - first);
    Memory<Machine> of_rows(machine);
    block.rows = rows;
    block.x = of_rows.copy(columns_of({x.row(first), {rows, x.shape[1]}, {x.strides[0], 1}}));
    block.out = of_rows.template zeros<double>(rows * out.shape[1]);
    const auto work = [&](const Leaves<OnHost>& leaves) {
      pause();
      Memory<Machine> of_leaves(machine);
      block.leaves = copies(of_leaves, leaves);
      block.count = static_cast<std::int64_t>(leaves.leaf.size());
      block.masks = of_leaves.template zeros<std::uint64_t>(leaves.background_start.back());
      block.credit = of_leaves.template zeros<double>(leaves.credit_start.back());
      if (game.interventional()) {
        machine.run(Count{block});
      }
      machine.run(Credit{block, leaves.entry_start.back()});
      machine.run(Gather{block});
    };
    Collector(trees, game, rows, work).run();
    std::vector<double> found(static_cast<std::size_t>(rows * out.shape[1]));
    machine.down(block.out, found.data(), rows * out.shape[1]);
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t value = 0; value < out.shape[1]; ++value) {
        out.row(first + row)[value] += found[static_cast<std::size_t>(value * rows + row)];
      }
    }
  }
}

}  // namespace onnxplain::paths
