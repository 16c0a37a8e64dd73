// Writing around the caches, for results too large to be found there when they are read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace onnxplain {

// Whether a result of so many bytes is worth no place in the caches: 32 MiB, for what the system
// says of its last cache may be that of several machines in one.
constexpr bool past_caches(std::int64_t bytes) {
  return bytes >= std::int64_t{1} << 25;
}

// Copies `count` elements, which are few, to memory that is not read soon. Threads that join see
// them after `finish_streaming`.
template <class T>
void stream(const T* from, std::int64_t count, T* to) {
  const char* source = reinterpret_cast<const char*>(from);
  char* target = reinterpret_cast<char*>(to);
  auto bytes = static_cast<std::size_t>(count) * sizeof(T);
#if defined(__SSE2__)
  const std::size_t ahead =
      std::min(bytes, (16 - reinterpret_cast<std::uintptr_t>(target) % 16) % 16);
  std::memcpy(target, source, ahead);
  source += ahead;
  target += ahead;
  bytes -= ahead;
  for (; bytes >= 16; bytes -= 16, source += 16, target += 16) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(target),
                     _mm_loadu_si128(reinterpret_cast<const __m128i*>(source)));
  }
#endif
  std::memcpy(target, source, bytes);
}

inline void finish_streaming() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace onnxplain
