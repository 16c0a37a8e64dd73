// Rows on their way down a tree, in groups of equal masks (see tree_credit.hpp).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kernels/tree_credit.hpp"

namespace onnxplain::cpu {

template <class T>
std::size_t size_of(T value) {
  return static_cast<std::size_t>(value);
}

using Index = std::int32_t;

// Rows on the way to a node, by group, and what they answer there.
struct Side {
  std::vector<Mask> mask;  // of each group
  std::vector<Index> row, group;
  std::vector<std::uint8_t> answer;
  std::vector<Index> tally;  // [2 group + answer]: how many rows

  // All rows, in one group.
  void start(std::int64_t rows) {
    mask = {0};
    row.resize(size_of(rows));
    std::iota(row.begin(), row.end(), Index{0});
    group.assign(size_of(rows), 0);
  }
};

// From a mask to the group that has it.
class MaskTable {
 public:
  void clear(std::size_t entries) { slots_.assign(std::bit_ceil(2 * entries + 1), -1); }

  // Returns the group of the mask: `fresh` if it is new.
  Index find(Mask mask, const std::vector<Mask>& masks, Index fresh) {
    std::size_t at = static_cast<std::size_t>((mask * 0x9E3779B97F4A7C15ULL) >> 20);
    for (;; ++at) {
      Index& slot = slots_[at & (slots_.size() - 1)];
      if (slot < 0) {
        slot = fresh;
      }
      if (slot == fresh || masks[size_of(slot)] == mask) {
        return slot;
      }
    }
  }

 private:
  std::vector<Index> slots_;
};

// What becomes of the groups of a side on one way out of a node.
class Step {
 public:
  std::vector<Index> next;    // [2 group + answer]: the new group, -1 where no row goes
  std::vector<Mask> mask;     // of each new group
  std::vector<Index> source;  // the first entry of `next` that leads to it
  std::vector<double> count;  // how many rows

  void advance(const Side& side, bool way, Index slot, bool fresh) {
    const Mask bit = Mask{1} << slot;
    next.assign(side.tally.size(), -1);
    mask.clear();
    source.clear();
    count.clear();
    if (!fresh) {
      table_.clear(side.tally.size());
    }
    for (std::size_t t = 0; t < side.tally.size(); ++t) {
      if (side.tally[t] == 0) {
        continue;
      }
      const bool agrees = ((t & 1U) != 0) == way;
      const Mask old = side.mask[t / 2];
      const Mask found = !agrees ? old & ~bit : fresh ? old | bit : old;
      const Index new_group = static_cast<Index>(mask.size());
      const Index group = fresh ? new_group : table_.find(found, mask, new_group);
      if (group == new_group) {
        mask.push_back(found);
        source.push_back(static_cast<Index>(t));
        count.push_back(0.0);
      }
      next[t] = group;
      count[size_of(group)] += side.tally[t];
    }
  }

  // Keeps the groups that have a new number, in their order.
  void renumber(const std::vector<Index>& number) {
    for (Index& group : next) {
      group = group < 0 ? -1 : number[size_of(group)];
    }
    std::size_t kept = 0;
    for (std::size_t old = 0; old < number.size(); ++old) {
      if (number[old] >= 0) {
        mask[kept] = mask[old];
        count[kept] = count[old];
        ++kept;
      }
    }
    mask.resize(kept);
    count.resize(kept);
  }

 private:
  MaskTable table_;
};

// Collects the rows that go on.
inline void keep(const Side& above, const Step& step, Side& below) {
  below.mask = step.mask;
  below.row.resize(above.row.size());
  below.group.resize(above.row.size());
  std::size_t kept = 0;
  for (std::size_t i = 0; i < above.row.size(); ++i) {
    const Index group = step.next[2 * size_of(above.group[i]) + above.answer[i]];
    below.row[kept] = above.row[i];
    below.group[kept] = group;
    kept += group >= 0 ? 1 : 0;
  }
  below.row.resize(kept);
  below.group.resize(kept);
}

// Pairs of groups that a leaf below can tell apart: for each explained group, background groups.
struct Pairs {
  std::vector<std::int64_t> start;
  std::vector<Index> other;
};

// Follows the pairs down.
class Pairing {
 public:
  // Finds the pairs that remain where masks have the bits `full` in all, and drops the groups that
  // are in none.
  //
  // Masks only lose bits, so a pair that remains comes from every pair of groups that its two came
  // from: the first source of an explained group has them all. Groups stay in the order of their
  // first sources, whatever other rows are in the block, so sums do not depend on the block.
  void find(Mask full, Step& x, Step& b, const Pairs& above, Pairs& below) {
    below.start.assign(1, 0);
    below.other.clear();
    stamp_.assign(b.mask.size(), -1);
    new_x_.assign(x.mask.size(), -1);
    Index kept = 0;
    for (std::size_t p = 0; p < x.mask.size(); ++p) {
      const std::size_t from = size_of(x.source[p] / 2);
      for (std::int64_t i = above.start[from]; i < above.start[from + 1]; ++i) {
        const std::size_t q = size_of(above.other[size_of(i)]);
        for (const std::size_t t : {2 * q, 2 * q + 1}) {
          const Index group = b.next[t];
          if (group < 0 || (x.mask[p] | b.mask[size_of(group)]) != full ||
              stamp_[size_of(group)] == static_cast<Index>(p)) {
            continue;
          }
          stamp_[size_of(group)] = static_cast<Index>(p);
          below.other.push_back(group);
        }
      }
      const auto reached = static_cast<std::int64_t>(below.other.size());
      if (reached > below.start.back()) {
        below.start.push_back(reached);
        new_x_[p] = kept++;
      }
    }
    new_b_.assign(b.mask.size(), -1);
    Index count = 0;
    for (std::size_t q = 0; q < stamp_.size(); ++q) {
      if (stamp_[q] >= 0) {
        new_b_[q] = count++;
      }
    }
    for (Index& q : below.other) {
      q = new_b_[size_of(q)];
    }
    x.renumber(new_x_);
    b.renumber(new_b_);
  }

 private:
  std::vector<Index> stamp_, new_x_, new_b_;
};

// The rows on the way to the node of one depth.
struct Level {
  Side x, b;
  Pairs pairs;
};

}  // namespace onnxplain::cpu
