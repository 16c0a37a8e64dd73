// Sums in lanes (lanes.hpp) by as many threads, which lie one behind the other in a warp.
#pragma once

#include <cstdint>

#include "kernels/lanes.hpp"

namespace onnxplain::cuda {

// Threads that have one thing to do together.
inline constexpr int kTogether = static_cast<int>(kLanes);
static_assert(32 % kTogether == 0);

// One of them.
class Lanes {
 public:
  __device__ Lanes()
      : lane_(static_cast<int>(threadIdx.x) % kTogether),
        together_(((1u << kTogether) - 1u) << (threadIdx.x % 32 / kTogether * kTogether)) {}

  // A sum, whose total all of them get.
  template <class T>
  class Sum {
   public:
    __device__ explicit Sum(const Lanes& lanes) : lanes_(lanes) {}

    template <class Term>
    __device__ void add(std::int64_t count, const Term& term) {
#pragma unroll 8  // so many reads are under way at once
      for (std::int64_t i = lanes_.lane_; i < count; i += kTogether) {
        sum_ += term(i);
      }
    }
    __device__ T total() {
      for (int half = kTogether / 2; half > 0; half /= 2) {
        sum_ += __shfl_down_sync(lanes_.together_, sum_, half, kTogether);
      }
      return __shfl_sync(lanes_.together_, sum_, 0, kTogether);
    }

   private:
    const Lanes& lanes_;
    T sum_ = 0;
  };

  template <class Body>
  __device__ void each(std::int64_t count, const Body& body) const {
    for (std::int64_t i = lane_; i < count; i += kTogether) {
      body(i);
    }
  }
  __device__ bool is_first() const { return lane_ == 0; }

 private:
  int lane_;
  unsigned int together_;
};

}  // namespace onnxplain::cuda
