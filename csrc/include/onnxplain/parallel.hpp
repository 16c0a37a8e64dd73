// A small parallel loop for the CPU kernels.
//
// Threads are started for one loop and joined at its end. There is no pool: nothing survives a
// fork, nothing is shared between two Python threads that call at once, and a loop too small to
// repay the start of a thread (some 20 microseconds) runs on the caller's thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

namespace onnxplain {

// How many elements one thread should at least be given.
inline constexpr std::int64_t kGrain = std::int64_t{1} << 16;

// Processors that this process may run on.
inline long usable_processors() {
#if defined(__linux__)
  cpu_set_t mine;
  if (sched_getaffinity(0, sizeof(mine), &mine) == 0) {
    return CPU_COUNT(&mine);
  }
#endif
  return static_cast<long>(std::thread::hardware_concurrency());
}

// Number of threads a loop may use: ONNXPLAIN_NUM_THREADS where it is a positive number, else all
// the processors that this process may run on. Read once.
inline std::int64_t max_threads() {
  static const std::int64_t count = [] {
    const char* text = std::getenv("ONNXPLAIN_NUM_THREADS");
    const long asked = text == nullptr ? 0 : std::strtol(text, nullptr, 10);
    return static_cast<std::int64_t>(std::max(1L, asked > 0 ? asked : usable_processors()));
  }();
  return count;
}

// Calls body(begin, end) on disjoint ranges that together cover [0, total), each of at least
// `grain` items where more than one is used. What it computes for one item must not depend on the
// range, so that the result does not depend on the number of threads. What the body throws is
// thrown again when all threads are done: the first that was caught.
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
  if (parts == 1) {
    body(std::int64_t{0}, total);
    return;
  }
  std::exception_ptr error;
  std::mutex guard;
  const auto guarded = [&](std::int64_t begin, std::int64_t end) noexcept {
    try {
      body(begin, end);
    } catch (...) {
      const std::lock_guard lock(guard);
      if (!error) {
        error = std::current_exception();
      }
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(parts - 1));
  std::int64_t next = 1;
  for (; next < parts; ++next) {
    try {
      threads.emplace_back([&, next] { guarded(begin_of(next), begin_of(next + 1)); });
    } catch (const std::exception&) {
      break;  // No more threads to be had: the caller's thread does the rest.
    }
  }
  guarded(begin_of(0), begin_of(1));
  if (next < parts) {
    guarded(begin_of(next), total);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  if (error) {
    std::rethrow_exception(error);
  }
}

}  // namespace onnxplain
