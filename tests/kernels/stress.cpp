// Runs every kernel of the core for the sanitizers: sizes from none to more than a block, from
// several threads at once, with numbers held against plain loops.
#include "stress.hpp"

#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "kernels/path_batches.hpp"
#include "kernels/trees.hpp"
#include "onnxplain/normal.hpp"
#include "onnxplain/parallel.hpp"

using namespace onnxplain;

namespace {

template <class T>
void interpolate(Random& random, Size size, bool one_start) {
  const auto [rows, cols, steps] = size;
  const auto from = normals<T>(random, (one_start ? 1 : rows) * cols);
  const auto to = normals<T>(random, rows * cols), at = normals<T>(random, steps);
  std::vector<T> out(static_cast<std::size_t>(steps * rows * cols), T(NAN));
  const auto start = broadcast_rows(seen(from, one_start ? 1 : rows, cols), rows);
  cpu::interpolate(Interpolate<T>{start, seen(to, rows, cols), seen(at),
                                  matrix_view(out.data(), steps * rows, cols)});
  for (std::int64_t i = 0; i < steps * rows * cols; ++i) {
    const auto e = static_cast<std::size_t>(i % (rows * cols));
    const T first = from[one_start ? e % static_cast<std::size_t>(cols) : e];
    const T expected = first + at[static_cast<std::size_t>(i / (rows * cols))] * (to[e] - first);
    expect(out[static_cast<std::size_t>(i)] == expected, "interpolate");
  }
}

template <class Acc, class T>
void accumulate(Random& random, Size size) {
  const auto [rows, cols, steps] = size;
  auto acc = normals<Acc>(random, rows * cols);
  const auto grads = normals<T>(random, steps * rows * cols);
  const auto weights = normals<Acc>(random, steps);
  auto expected = acc;
  for (std::size_t i = 0; i < grads.size(); ++i) {
    expected[i % acc.size()] += weights[i / acc.size()] * static_cast<Acc>(grads[i]);
  }
  cpu::accumulate(Accumulate<Acc, T>{matrix_view(acc.data(), rows, cols),
                                     seen(grads, steps * rows, cols), seen(weights)});
  expect(acc == expected, "accumulate");
}

template <class T>
void noise(Random& random, Size size) {
  const auto [rows, cols, samples] = size;
  const auto x = normals<T>(random, rows * cols);
  const std::vector<double> stdev(static_cast<std::size_t>(rows), 0.5);
  std::vector<T> out(static_cast<std::size_t>(samples * rows * cols), T(NAN));
  cpu::noise(Noise<T>{seen(x, rows, cols), seen(stdev),
                      matrix_view(out.data(), samples * rows, cols), 7, 5, 3, 9});
  for (std::int64_t i = 0; i < samples * rows * cols; i += 1 + cols / 50) {
    const std::int64_t row = i / cols, d = i % cols;
    const PhiloxWords words = philox4x32(
        {{static_cast<std::uint32_t>(d / 4), 9, static_cast<std::uint32_t>(3 + row % rows),
          static_cast<std::uint32_t>(5 + row / rows)}},
        7);
    T z[4];
    box_muller(words.word[0], words.word[1], z[0], z[1]);
    box_muller(words.word[2], words.word[3], z[2], z[3]);
    const T clean = x[static_cast<std::size_t>(i % (rows * cols))];
    expect(out[static_cast<std::size_t>(i)] == clean + T(0.5) * z[d % 4], "noise");
  }
}

// Random trees whose arrays are just as long as they must be.
struct Forest {
  std::int64_t columns, scores;
  std::vector<std::int32_t> feature, mode, yes, no, member_start{0}, leaf_start{0}, target, roots;
  std::vector<double> threshold, members, weight;
  std::vector<std::uint8_t> missing;

  void grow(Random& random, int depth) {
    const std::size_t node = mode.size();
    const bool leaf = depth == 0 || below(random, 8) == 0;
    mode.push_back(leaf ? 7 : static_cast<std::int32_t>(below(random, 7)));
    feature.push_back(leaf ? -1 : static_cast<std::int32_t>(below(random, columns)));
    threshold.push_back(static_cast<double>(below(random, 5)) - 2.0);
    missing.push_back(static_cast<std::uint8_t>(below(random, 2)));
    for (std::int64_t k = mode.back() == 6 ? below(random, 4) : 0; k > 0; --k) {
      members.push_back(-static_cast<double>(k));
    }
    member_start.push_back(static_cast<std::int32_t>(members.size()));
    for (std::int64_t k = leaf ? below(random, 3) : 0; k > 0; --k) {
      target.push_back(static_cast<std::int32_t>(below(random, scores)));
      weight.push_back(normals<double>(random, 1)[0]);
    }
    leaf_start.push_back(static_cast<std::int32_t>(weight.size()));
    yes.push_back(-1);
    no.push_back(-1);
    if (!leaf) {
      yes[node] = static_cast<std::int32_t>(mode.size());
      grow(random, depth - 1);
      no[node] = static_cast<std::int32_t>(mode.size());
      grow(random, depth - 1);
    }
  }

  Forest(Random& random, std::int64_t trees, int depth, std::int64_t columns_, std::int64_t scores_)
      : columns(columns_), scores(scores_) {
    for (std::int64_t k = 0; k < trees; ++k) {
      roots.push_back(static_cast<std::int32_t>(mode.size()));
      grow(random, depth);
    }
  }

  Trees view() const {
    return {seen(feature), seen(mode),         seen(yes),     seen(no),         seen(threshold),
            seen(missing), seen(member_start), seen(members), seen(leaf_start), seen(target),
            seen(weight),  seen(roots),        scores};
  }
};

void nothing() {}

void stop() {
  throw std::runtime_error("stopped");
}

// Weights and rules need not be those of a value for both forms to agree.
struct Game {
  std::vector<std::int32_t> players;
  std::vector<double> background, covers, weights, points, of_points;
  std::int64_t n_players, references;

  TreeGame view(int order) const {
    const std::int64_t most = kMaxPathPlayers + 1, rules = kMaxPathPlayers / 2 + 1;
    const auto columns = static_cast<std::int64_t>(players.size());
    return {seen(players),
            n_players,
            order,
            seen(background, references, columns),
            seen(covers),
            seen(weights, most, most),
            seen(points, rules, rules),
            seen(of_points, rules, rules)};
  }
};

std::vector<double> values_of(decltype(cpu::tree_values)* run, const Forest& forest,
                              const TreeGame& game, const std::vector<double>& x,
                              std::int64_t rows) {
  const std::int64_t width =
      (game.order == 1 ? game.n_players : game.n_players * game.n_players) * forest.scores;
  std::vector<double> out(static_cast<std::size_t>(rows * width));
  run(forest.view(), game, seen(x, rows, forest.columns), matrix_view(out.data(), rows, width),
      &nothing);
  return out;
}

void trees(Random& random, std::int64_t rows, std::int64_t references) {
  const std::int64_t columns = 1 + below(random, 14);
  const Forest forest(random, below(random, 40), 1 + static_cast<int>(below(random, 6)), columns,
                      1 + below(random, 3));
  auto x = normals<double>(random, rows * columns);
  for (std::size_t i = 0; i < x.size(); i += 5) {
    x[i] = i % 2 == 0 ? std::nan("") : -1.0;
  }
  std::vector<double> counts(forest.mode.size(), -1.0);
  const Matrix<const double> table = seen(x, rows, columns);
  cpu::tree_counts(forest.view(), table,
                   vector_view(counts.data(), static_cast<std::int64_t>(counts.size())));
  for (const std::int32_t root : forest.roots) {
    expect(counts[static_cast<std::size_t>(root)] == static_cast<double>(rows), "tree_counts");
  }
  for (const auto how : {TreeAggregate::sum, TreeAggregate::min, TreeAggregate::max}) {
    std::vector<float> scores(static_cast<std::size_t>(rows * forest.scores), NAN);
    cpu::tree_scores(forest.view(), how, table, matrix_view(scores.data(), rows, forest.scores));
    for (const float score : scores) {
      expect(!std::isnan(score), "tree_scores");
    }
  }
  Game game{{}, normals<double>(random, references * columns), counts, {}, {}, {}, 0, references};
  game.n_players = 1 + below(random, columns);
  for (std::int64_t k = 0; k < columns; ++k) {
    game.players.push_back(static_cast<std::int32_t>(below(random, game.n_players)));
  }
  const std::int64_t most = kMaxPathPlayers + 1, rules = kMaxPathPlayers / 2 + 1;
  game.weights = normals<double>(random, most * most);
  game.points = normals<double>(random, rules * rules);
  game.of_points = normals<double>(random, rules * rules);
  for (const int order : {1, 2}) {
    const TreeGame asked = game.view(order);
    const auto one = values_of(&cpu::tree_values, forest, asked, x, rows);
    const auto other = values_of(&cpu::tree_values_by_paths, forest, asked, x, rows);
    for (std::size_t i = 0; i < one.size(); ++i) {
      expect(std::fabs(one[i] - other[i]) <= 1e-8 * (1.0 + std::fabs(one[i])), "tree_values");
    }
    if (!forest.roots.empty() && rows > 0) {
      std::vector<double> out(one.size());
      expect_thrown("stopped", [&] {
        cpu::tree_values(
            forest.view(), asked, table,
            matrix_view(out.data(), rows, static_cast<std::int64_t>(out.size()) / rows), &stop);
      });
    }
  }
}

// A path through more players than masks have bits, in each of several trees.
void too_many_players() {
  Random random(1);
  Forest forest(random, 0, 0, 70, 1);
  for (int tree = 0; tree < 40; ++tree) {
    const auto first = static_cast<std::int32_t>(forest.mode.size());
    forest.roots.push_back(first);
    for (std::int32_t k = 0; k < 141; ++k) {  // nodes and their leaves take turns; then a last leaf
      const bool leaf = k % 2 == 1 || k == 140;
      forest.mode.push_back(leaf ? 7 : 0);
      forest.feature.push_back(leaf ? -1 : k / 2);
      forest.threshold.push_back(0.0);
      forest.missing.push_back(0);
      forest.yes.push_back(leaf ? -1 : first + k + 1);
      forest.no.push_back(leaf ? -1 : first + k + 2);
      forest.member_start.push_back(0);
      forest.leaf_start.push_back(0);
    }
  }
  const std::int64_t most = kMaxPathPlayers + 1, rules = kMaxPathPlayers / 2 + 1;
  Game game{{}, std::vector<double>(70, 1.0), {}, {}, {}, {}, 70, 1};
  for (std::int32_t k = 0; k < 70; ++k) {
    game.players.push_back(k);
  }
  game.weights.resize(static_cast<std::size_t>(most * most));
  game.points.resize(static_cast<std::size_t>(rules * rules));
  game.of_points = game.points;
  const std::vector<double> x(70 * 40, 1.0);
  for (auto* run : {&cpu::tree_values, &cpu::tree_values_by_paths}) {
    expect_thrown(kTooManyPlayers, [&] { values_of(run, forest, game.view(1), x, 40); });
  }
}

void what_a_thread_throws() {
  std::atomic<std::int64_t> seen_items{0};
  expect_thrown("item 0", [&] {
    parallel_for(3, 1, [&](std::int64_t begin, std::int64_t end) {
      seen_items += end - begin;
      throw std::runtime_error("item 0 or another");
    });
  });
  expect(seen_items == 3, "all threads ran");
}

void all(std::uint64_t seed) {
  Random random(seed);
  for (const Size size : {Size{0, 3, 2}, Size{2, 0, 2}, Size{2, 3, 0}, Size{1, 1, 1}, Size{3, 7, 5},
                          Size{2, 1025, 3}, Size{1, 4099, 20}, Size{5, 30011, 2}}) {
    for (const bool one_start : {false, true}) {
      interpolate<float>(random, size, one_start);
      interpolate<double>(random, size, one_start);
    }
    accumulate<float, float>(random, size);
    accumulate<double, float>(random, size);
    accumulate<double, double>(random, size);
    noise<float>(random, size);
    noise<double>(random, size);
    masked(random, size);
  }
  for (const auto& [rows, references] : std::vector<std::array<std::int64_t, 2>>{
           {0, 3}, {1, 1}, {70, 0}, {40, 30}, {3, 0}, {100, 7}}) {
    trees(random, rows, references);
  }
}

}  // namespace

int main() {
  what_a_thread_throws();
  too_many_players();
  Random random(0);
  interpolate<float>(random, {2, 4099, 1040}, true);  // past the caches
  std::vector<std::thread> threads;
  for (std::uint64_t caller = 0; caller < 3; ++caller) {
    threads.emplace_back(all, caller);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::puts("clean");
}
