// Vectors of float32, as wide as a loop asks for.
#pragma once

#include <cstring>

#include "onnxplain/processors.hpp"

namespace onnxplain::cpu {

#if defined(__GNUC__)
template <int kBytes>
struct VectorOf {
  typedef float Type __attribute__((vector_size(kBytes)));
};
#else
template <int kBytes>
struct VectorOf {
  struct Type {
    float of[kBytes / 4];

    Type operator+(const Type& other) const {
      Type made;
      for (int k = 0; k < kBytes / 4; ++k) {
        made.of[k] = of[k] + other.of[k];
      }
      return made;
    }
    Type operator-(const Type& other) const {
      Type made;
      for (int k = 0; k < kBytes / 4; ++k) {
        made.of[k] = of[k] - other.of[k];
      }
      return made;
    }
    Type operator*(float number) const {
      Type made;
      for (int k = 0; k < kBytes / 4; ++k) {
        made.of[k] = of[k] * number;
      }
      return made;
    }
    Type& operator+=(const Type& other) { return *this = *this + other; }
  };
};
#endif
template <int kBytes>
using Vector = typename VectorOf<kBytes>::Type;

// From and to memory that is aligned in no way.
template <class V>
ONNXPLAIN_INLINE inline void load(const float* from, V& to) {
  std::memcpy(&to, from, sizeof(V));
}
template <class V>
ONNXPLAIN_INLINE inline void store(const V& from, float* to) {
  std::memcpy(to, &from, sizeof(V));
}

}  // namespace onnxplain::cpu
