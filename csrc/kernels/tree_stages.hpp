// Exact Shapley values of trees path by path, for machines that run one function over many items.
//
// Leaves are independent of each other: for each, all masks of its k players have an entry if they
// are few, else all explained rows. Three stages fill and read the entries of a block of leaves:
//
//   Count   (leaf, background row): how many background rows have which mask
//   Credit  (leaf, entry): what the leaf gives to its players
//   Gather  (row): adds what all leaves give to the row, in their order, so that no sum depends
//           on the other rows or on the number of threads
//
// A leaf costs O((rows + background) length) and O(3^k k) for its entries where masks are few, or
// O(rows background) bit operations.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/tree_credit.hpp"
#include "kernels/trees.hpp"

namespace onnxplain::paths {

// A leaf has an entry for each mask if it has no more players than this.
inline constexpr int kTabled = 10;

// Leaves with the ways that lead to them; as vectors on the host, as pointers on the machine.
template <template <class> class Array>
struct Leaves {
  Array<std::int32_t> leaf;        // [leaves] its node
  Array<std::int64_t> node_start;  // [leaves + 1]
  Array<std::int32_t> node, slot,
      way;                           // of each node on the way: which player asks, what is answered
  Array<std::int64_t> owner_start;   // [leaves + 1]
  Array<std::int32_t> owner;         // of each player on the way
  Array<double> share;               // of the data, along that player's nodes
  Array<std::int64_t> entry_start;   // [leaves + 1]
  Array<std::int64_t> credit_start;  // [leaves + 1] what all entries give; `width` numbers each
  Array<std::int64_t> background_start;  // [leaves + 1] in `background`
};

template <class T>
using OnHost = std::vector<T>;
template <class T>
using Pointer = const T*;

// A block of rows, a block of leaves, and what is known of the two, on the machine.
struct Block {
  Trees trees;
  TreeGame game;
  Leaves<Pointer> leaves;
  std::int64_t count;        // of leaves
  const double* x;           // [column][row]
  std::int64_t rows;         // explained
  const double* background;  // [column][row]
  std::uint64_t* masks;      // how many background rows have each mask; or the mask of each row
  double* credit;
  double* out;  // [value][row]

  ONNXPLAIN_HOST_DEVICE int players(std::int64_t leaf) const {
    return static_cast<int>(leaves.owner_start[leaf + 1] - leaves.owner_start[leaf]);
  }
  ONNXPLAIN_HOST_DEVICE std::int64_t width(int k) const {
    return game.order == 1 ? k : static_cast<std::int64_t>(k) * k;
  }
  ONNXPLAIN_HOST_DEVICE std::int64_t references() const { return game.background.shape[0]; }

  ONNXPLAIN_HOST_DEVICE Mask mask_of(std::int64_t leaf, const double* table, std::int64_t height,
                                     std::int64_t row) const {
    Mask mask = full_mask(players(leaf));
    for (std::int64_t i = leaves.node_start[leaf]; i < leaves.node_start[leaf + 1]; ++i) {
      const std::int64_t node = leaves.node[i];
      if (trees.answer(node, table[trees.feature[node] * height + row]) != (leaves.way[i] != 0)) {
        mask &= ~(Mask{1} << leaves.slot[i]);
      }
    }
    return mask;
  }
};

// Adds one to a number that others may be adding to.
ONNXPLAIN_HOST_DEVICE inline void add_one(std::uint64_t* to) {
#ifdef __CUDA_ARCH__
  atomicAdd(reinterpret_cast<unsigned long long*>(to), 1ULL);
#else
  ++*to;
#endif
}

struct Count : Block {
  std::int64_t items() const { return count * references(); }

  ONNXPLAIN_HOST_DEVICE void operator()(std::int64_t item) const {
    const std::int64_t leaf = item / references();
    const std::int64_t row = item - leaf * references();
    const Mask mask = mask_of(leaf, background, references(), row);
    std::uint64_t* found = masks + leaves.background_start[leaf];
    if (players(leaf) <= kTabled) {
      add_one(found + mask);
    } else {
      found[row] = mask;
    }
  }
};

struct Credit : Block {
  std::int64_t entries;
  std::int64_t items() const { return entries; }

  ONNXPLAIN_HOST_DEVICE void operator()(std::int64_t item) const {
    const std::int64_t leaf = leaf_of(item);
    const std::int64_t entry = item - leaves.entry_start[leaf];
    const int k = players(leaf);
    double* given = credit + leaves.credit_start[leaf] + entry * width(k);
    const Mask own = k <= kTabled ? static_cast<Mask>(entry) : mask_of(leaf, x, rows, entry);
    if (!game.interventional()) {
      const double* shares = leaves.share + leaves.owner_start[leaf];
      game.order == 1 ? path_single(game, k, own, shares, given)
                      : path_double(game, k, own, shares, given);
      return;
    }
    const std::uint64_t* found = masks + leaves.background_start[leaf];
    const Mask full = full_mask(k);
    const int b = lacking(k, own);
    double lost = 0.0;
    if (k > kTabled) {
      for (std::int64_t row = 0; row < references(); ++row) {
        if ((own | found[row]) == full) {
          lost += pair(k, b, own, found[row], 1.0, given);
        }
      }
    } else {
      for (Mask more = own;; more = (more - 1) & own) {  // all masks that have what `own` has not
        const Mask other = (full & ~own) | more;
        if (found[other] != 0) {
          lost += pair(k, b, own, other, static_cast<double>(found[other]), given);
        }
        if (more == 0) {
          break;
        }
      }
    }
    if (game.order == 1) {
      lose(k, own, lost, given);
    }
  }

  // The last leaf that begins no later than an entry.
  ONNXPLAIN_HOST_DEVICE std::int64_t leaf_of(std::int64_t entry) const {
    std::int64_t low = 0, high = count;
    while (high - low > 1) {
      const std::int64_t middle = (low + high) / 2;
      (leaves.entry_start[middle] <= entry ? low : high) = middle;
    }
    return low;
  }

  ONNXPLAIN_HOST_DEVICE double pair(int k, int b, Mask own, Mask other, double number,
                                    double* given) const {
    const double share = number / static_cast<double>(references());
    const int a = lacking(k, other);
    if (game.order == 1) {
      return pair_single(game, k, a, b, other, share, given);
    }
    pair_double(game, k, a, b, own, other, share, given);
    return 0.0;
  }
};

struct Gather : Block {
  std::int64_t items() const { return rows; }

  ONNXPLAIN_HOST_DEVICE void operator()(std::int64_t row) const {
    for (std::int64_t leaf = 0; leaf < count; ++leaf) {
      const int k = players(leaf);
      const std::int64_t entry =
          k <= kTabled ? static_cast<std::int64_t>(mask_of(leaf, x, rows, row)) : row;
      const double* given = credit + leaves.credit_start[leaf] + entry * width(k);
      const std::int32_t* owner = leaves.owner + leaves.owner_start[leaf];
      const std::int64_t node = leaves.leaf[leaf];
      for (std::int64_t w = trees.leaf_start[node]; w < trees.leaf_start[node + 1]; ++w) {
        add(k, owner, given, trees.leaf_weight[w], trees.leaf_target[w], row);
      }
    }
  }

  ONNXPLAIN_HOST_DEVICE void add(int k, const std::int32_t* owner, const double* given,
                                 double weight, std::int64_t target, std::int64_t row) const {
    for (std::int64_t i = 0; i < width(k); ++i) {
      const std::int64_t player =
          game.order == 1 ? owner[i] : owner[i / k] * game.n_players + owner[i % k];
      out[(player * trees.scores + target) * rows + row] += given[i] * weight;
    }
  }
};

}  // namespace onnxplain::paths
