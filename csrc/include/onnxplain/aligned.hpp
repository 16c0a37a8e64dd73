// Memory that begins with a line of the caches: no vector of a loop lies in two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace onnxplain {

inline constexpr std::size_t kAlignment = 64;

struct AlignedDelete {
  void operator()(void* memory) const { ::operator delete(memory, std::align_val_t{kAlignment}); }
};

template <class T>
using Aligned = std::unique_ptr<T[], AlignedDelete>;

// So many numbers, which are not set.
template <class T>
Aligned<T> aligned(std::int64_t count) {
  return Aligned<T>(static_cast<T*>(
      ::operator new(static_cast<std::size_t>(count) * sizeof(T), std::align_val_t{kAlignment})));
}

}  // namespace onnxplain
