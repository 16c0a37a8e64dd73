// What the tests of threads share: numbers drawn from a seed, memory at odd addresses, and threads
// of a grid that run one after the other.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace drawn {

inline std::mt19937 engine(7);

inline std::int64_t draw(std::int64_t below) {
  return static_cast<std::int64_t>(engine() % static_cast<std::uint32_t>(below));
}

inline void expect(bool right, const std::string& what) {
  if (!right) {
    std::fprintf(stderr, "wrong: %s\n", what.c_str());
    std::exit(1);
  }
}

inline std::int64_t size_of(const std::vector<std::int64_t>& shape) {
  std::int64_t size = 1;
  for (const std::int64_t length : shape) {
    size *= length;
  }
  return size;
}

// Memory of exactly so many elements, which begin `ahead` elements behind an aligned address.
template <class T>
struct Memory {
  std::vector<T> all;
  std::size_t ahead;
  explicit Memory(std::int64_t size, std::int64_t behind = draw(3))
      : all(static_cast<std::size_t>(size + behind)), ahead(static_cast<std::size_t>(behind)) {}
  T* data() { return all.data() + ahead; }
  const T* data() const { return all.data() + ahead; }
};

// Runs body(thread) for all threads of a grid of some size.
template <class Body>
void in_threads(std::int64_t count, const Body& body) {
  for (std::int64_t thread = 0; thread < count; ++thread) {
    body(thread);
  }
}

}  // namespace drawn
