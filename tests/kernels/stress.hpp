// What the stress programs of the kernels share: random numbers, views, and a check that ends them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "onnxplain/tensor_view.hpp"

namespace onnxplain {

using Random = std::mt19937_64;

inline void expect(bool right, const char* what) {
  if (!right) {
    std::fprintf(stderr, "wrong: %s\n", what);
    std::exit(1);
  }
}

template <class Body>
void expect_thrown(const char* text, const Body& body) {
  try {
    body();
  } catch (const std::exception& error) {
    expect(std::string(error.what()).find(text) != std::string::npos, text);
    return;
  }
  expect(false, text);
}

template <class T>
std::vector<T> normals(Random& random, std::int64_t size) {
  std::normal_distribution<double> draw;
  std::vector<T> made(static_cast<std::size_t>(size));
  for (T& value : made) {
    value = static_cast<T>(draw(random));
  }
  return made;
}

inline std::int64_t below(Random& random, std::int64_t end) {
  return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(end));
}

template <class T>
Matrix<const T> seen(const std::vector<T>& from, std::int64_t rows, std::int64_t cols) {
  return matrix_view<const T>(from.data(), rows, cols);
}

template <class T>
Vector<const T> seen(const std::vector<T>& from) {
  return vector_view<const T>(from.data(), static_cast<std::int64_t>(from.size()));
}

struct Size {
  std::int64_t rows, cols, steps;
};

// Runs the kernels of masked batches.
void masked(Random& random, Size size);

}  // namespace onnxplain
