// What GiveAll makes of rows and numbers, on all devices.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/give_all.hpp"
#include "kernels/half.hpp"
#include "kernels/sum_order.hpp"
#include "onnxplain/processors.hpp"
#include "onnxplain/tensor_view.hpp"

namespace onnxplain {

// What is missing of a row, for each unit of what its inputs got.
struct Share {
  float part;
  float even;  // what each input gets where none got anything; else 0

  ONNXPLAIN_HOST_DEVICE static Share of(const ShareSums& sums, std::int64_t below) {
    const double missing = sums.relevance - sums.given;
    const bool none = sums.size == 0.0;
    return {none ? 0.0f : static_cast<float>(missing / sums.size),
            none ? static_cast<float>(missing / static_cast<double>(below)) : 0.0f};
  }

  ONNXPLAIN_HOST_DEVICE ONNXPLAIN_INLINE float added_to(float given) const {
    return given + (part * fabsf(given) + even);
  }
};

// The sums of up to kFan pieces of numbers that lie one behind the other; `lanes` has all lanes, or
// some threads.
template <class Lanes, class T>
ONNXPLAIN_HOST_DEVICE ONNXPLAIN_INLINE inline ShareSums sums_of_row(const Lanes& lanes,
                                                                    const T* relevance,
                                                                    std::int64_t above,
                                                                    const T* given,
                                                                    std::int64_t below) {
  ShareSums sums;
  for (std::int64_t begin = 0; begin < above; begin += kPiece) {
    typename Lanes::template Sum<double> arrived(lanes);
    const T* from = relevance + begin;
    arrived.add(smaller(kPiece, above - begin), [=](std::int64_t i) ONNXPLAIN_INLINE {
      return static_cast<double>(to_float(from[i]));
    });
    sums.relevance += arrived.total();
  }
  for (std::int64_t begin = 0; begin < below; begin += kPiece) {
    typename Lanes::template Sum<double> got(lanes);
    typename Lanes::template Sum<double> size(lanes);
    const T* from = given + begin;
    const std::int64_t count = smaller(kPiece, below - begin);
    got.add(count, [=](std::int64_t i)
                       ONNXPLAIN_INLINE { return static_cast<double>(to_float(from[i])); });
    size.add(count, [=](std::int64_t i)
                        ONNXPLAIN_INLINE { return static_cast<double>(fabsf(to_float(from[i]))); });
    sums.given += got.total();
    sums.size += size.total();
  }
  return sums;
}

}  // namespace onnxplain
