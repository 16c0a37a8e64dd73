// What a leaf with k players on its way gives them, for the masks of the rows; on CPU and GPU.
//
// Bit i of a mask says whether a row agrees with the i-th player on the way, that is, answers all
// nodes of that player's columns as the way goes. Single values are added to given[i], those of
// two players to given[i * k + j].
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/trees.hpp"

namespace onnxplain {

using Mask = std::uint64_t;

ONNXPLAIN_HOST_DEVICE inline Mask full_mask(int k) {
  return k == 64 ? ~Mask{0} : (Mask{1} << k) - 1;
}

// How many of k players a mask disagrees with. For the device nvcc drops the builtin in
// std::popcount without a word.
ONNXPLAIN_HOST_DEVICE inline int lacking(int k, Mask mask) {
#ifdef __CUDA_ARCH__
  return k - __popcll(mask);
#else
  return k - std::popcount(mask);
#endif
}

// For the leaf to count, the explained row x must be with the a players that the background row
// `other` disagrees with, and absent for the b players that x disagrees with. `share` is that of
// the background with this mask. What each of the b players loses is the same for all; it is
// returned, and lose() takes it off when all background rows are known.
ONNXPLAIN_HOST_DEVICE inline double pair_single(const TreeGame& game, int k, int a, int b,
                                                Mask other, double share, double* given) {
  if (a > 0) {
    const double more = share * game.weight(b, a - 1);
    for (int i = 0; i < k; ++i) {
      given[i] += (other >> i & 1U) != 0 ? 0.0 : more;
    }
  }
  return b > 0 ? share * game.weight(b - 1, a) : 0.0;
}

ONNXPLAIN_HOST_DEVICE inline void lose(int k, Mask x, double lost, double* given) {
  for (int i = 0; i < k; ++i) {
    given[i] -= (x >> i & 1U) != 0 ? 0.0 : lost;
  }
}

// 1 for a player who must be with the row, -1 for one who must be absent, else 0.
ONNXPLAIN_HOST_DEVICE inline int side_of(Mask x, Mask other, int i) {
  return (other >> i & 1U) == 0 ? 1 : (x >> i & 1U) == 0 ? -1 : 0;
}

ONNXPLAIN_HOST_DEVICE inline void pair_double(const TreeGame& game, int k, int a, int b, Mask x,
                                              Mask other, double share, double* given) {
  const double both = a > 1 ? share * game.weight(b, a - 2) : 0.0;
  const double neither = b > 1 ? share * game.weight(b - 2, a) : 0.0;
  const double mixed = a > 0 && b > 0 ? share * game.weight(b - 1, a - 1) : 0.0;
  for (int i = 0; i < k; ++i) {
    const int first = side_of(x, other, i);
    for (int j = 0; j < k; ++j) {
      const int product = i == j ? 0 : first * side_of(x, other, j);
      given[i * k + j] += product == 0 ? 0.0 : product < 0 ? -mixed : first == 1 ? both : neither;
    }
  }
}

ONNXPLAIN_HOST_DEVICE inline double agreement(Mask x, int i) {
  return static_cast<double>(x >> i & 1U);
}

// Calls body(weight, factor, after) at each point of the quadrature: the factor of each player, and
// after[i], the product of the factors from i on. `shares` are those of the data, along each
// player's nodes.
template <class Body>
ONNXPLAIN_HOST_DEVICE void at_points(const TreeGame& game, int k, Mask x, const double* shares,
                                     const Body& body) {
  double factor[kMaxPathPlayers];
  double after[kMaxPathPlayers + 1];
  const std::int64_t rule = k / 2;
  for (std::int64_t point = 0; point <= rule; ++point) {
    const double t = game.rule_points.row(rule)[point];
    const double weight = game.rule_weights.row(rule)[point];
    if (weight == 0.0) {
      continue;
    }
    after[k] = 1.0;
    for (int i = k - 1; i >= 0; --i) {
      factor[i] = t * agreement(x, i) + (1.0 - t) * shares[i];
      after[i] = factor[i] * after[i + 1];
    }
    body(weight, factor, after);
  }
}

ONNXPLAIN_HOST_DEVICE inline void path_single(const TreeGame& game, int k, Mask x,
                                              const double* shares, double* given) {
  at_points(game, k, x, shares, [=](double before, const double* factor, const double* after) {
    for (int i = 0; i < k; ++i) {
      given[i] += before * after[i + 1] * (agreement(x, i) - shares[i]);
      before *= factor[i];
    }
  });
}

ONNXPLAIN_HOST_DEVICE inline void path_double(const TreeGame& game, int k, Mask x,
                                              const double* shares, double* given) {
  at_points(game, k, x, shares, [=](double before, const double* factor, const double* after) {
    for (int i = 0; i < k; ++i) {
      double between = before * (agreement(x, i) - shares[i]);
      for (int j = i + 1; j < k; ++j) {
        const double found = between * after[j + 1] * (agreement(x, j) - shares[j]);
        given[i * k + j] += found;
        given[j * k + i] += found;
        between *= factor[j];
      }
      before *= factor[i];
    }
  });
}

}  // namespace onnxplain
