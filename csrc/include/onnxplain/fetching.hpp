// Memory that is asked for before it is read.
#pragma once

#include <cstdint>

namespace onnxplain {

// Bytes in a line of the caches, or a part of one.
inline constexpr std::int64_t kLine = 64;

// Has `count` elements brought near, while the thread goes on with other work: where memory is read
// in pieces, processors guess the next one late, if at all. The elements need not be there.
template <class T>
inline void fetch(const T* from, std::int64_t count) {
#if defined(__GNUC__)
  const char* line = reinterpret_cast<const char*>(from);
  const auto bytes = count * static_cast<std::int64_t>(sizeof(T));
  for (std::int64_t at = 0; at < bytes; at += kLine) {
    __builtin_prefetch(line + at, 0, 2);
  }
#else
  static_cast<void>(from);
  static_cast<void>(count);
#endif
}

// The same for elements that are written: what is written near others, and read at other addresses
// soon, waits for them.
template <class T>
inline void fetch_to_write(T* to, std::int64_t count) {
#if defined(__GNUC__)
  char* line = reinterpret_cast<char*>(to);
  const auto bytes = count * static_cast<std::int64_t>(sizeof(T));
  for (std::int64_t at = 0; at < bytes; at += kLine) {
    __builtin_prefetch(line + at, 1);
  }
#else
  static_cast<void>(to);
  static_cast<void>(count);
#endif
}

}  // namespace onnxplain
