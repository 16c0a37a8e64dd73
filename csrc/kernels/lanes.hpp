// Sums in lanes, the same on all devices: lane k has the terms k, k + kLanes..., and the lanes are
// then added pairwise. So a sum depends neither on the processor nor on who has the lanes: a loop
// of the CPU has all of them (here), as many threads of a GPU one each (lanes.cuh).
#pragma once

#include <cstdint>

#include "onnxplain/processors.hpp"

namespace onnxplain {

inline constexpr std::int64_t kLanes = 16;

namespace cpu {

struct Lanes {
  // A sum that is being made; terms are counted anew in each call of `add`.
  template <class T>
  class Sum {
   public:
    explicit Sum(const Lanes&) {}

    template <class Term>
    ONNXPLAIN_INLINE void add(std::int64_t count, const Term& term) {
      std::int64_t i = 0;
      for (; i + kLanes <= count; i += kLanes) {
        for (std::int64_t k = 0; k < kLanes; ++k) {
          lanes_[k] += term(i + k);
        }
      }
      for (std::int64_t k = 0; i + k < count; ++k) {
        lanes_[k] += term(i + k);
      }
    }
    ONNXPLAIN_INLINE T total() {
      for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
        for (std::int64_t k = 0; k < half; ++k) {
          lanes_[k] += lanes_[k + half];
        }
      }
      return lanes_[0];
    }

   private:
    T lanes_[kLanes] = {};
  };

  // Calls body(i) for all i, once.
  template <class Body>
  ONNXPLAIN_INLINE void each(std::int64_t count, const Body& body) const {
    for (std::int64_t i = 0; i < count; ++i) {
      body(i);
    }
  }
};

}  // namespace cpu
}  // namespace onnxplain
