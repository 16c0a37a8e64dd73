// A small parallel loop for the CPU kernels.
//
// Threads are started for one loop and joined at its end. There is no pool: nothing survives a
// fork, nothing is shared between two Python threads that call at once, and a loop too small to
// repay the start of a thread (some 20 microseconds) runs on the caller's thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <vector>

namespace onnxplain {

// How many elements one thread should at least be given.
inline constexpr std::int64_t kGrain = std::int64_t{1} << 16;

// Number of threads a loop may use: ONNXPLAIN_NUM_THREADS where it is a positive number, else all
// the processors that this process may run on. Read once.
inline std::int64_t max_threads() {
  static const std::int64_t count = [] {
    const char* text = std::getenv("ONNXPLAIN_NUM_THREADS");
    const long asked = text == nullptr ? 0 : std::strtol(text, nullptr, 10);
    const long found = static_cast<long>(std::thread::hardware_concurrency());
    return static_cast<std::int64_t>(std::max(1L, asked > 0 ? asked : found));
  }();
  return count;
}

// Calls body(begin, end) on disjoint ranges that together cover [0, total), each of at least
// `grain` items where more than one is used. The body must not throw. What it computes for one
// item must not depend on the range, so that the result does not depend on the number of threads.
template <class Body>
void parallel_for(std::int64_t total, std::int64_t grain, const Body& body) {
  if (total <= 0) {
    return;
  }
  const std::int64_t parts =
      std::clamp<std::int64_t>(total / std::max<std::int64_t>(grain, 1), 1, max_threads());
  const auto begin_of = [=](std::int64_t part) {
    return total / parts * part + std::min(part, total % parts);
  };
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(parts - 1));
  std::int64_t next = 1;
  for (; next < parts; ++next) {
    try {
      threads.emplace_back([&body, begin_of, next] { body(begin_of(next), begin_of(next + 1)); });
    } catch (const std::system_error&) {
      break;  // No more threads to be had: the caller's thread does the rest.
    }
  }
  body(begin_of(0), begin_of(1));
  if (next < parts) {
    body(begin_of(next), total);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace onnxplain
