// Transposed convolutions (two spatial axes, one group, no dilation) of what is mostly zeros, as
// the walk back through a max pooling leaves it: what is zero costs nothing.
//
// For each place and its channels that are not zero, the kernels of these channels are added up in
// registers, and the sum is added to the result at once.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/planes.hpp"

namespace onnxplain {

// The result's channels go in groups of 16, which are next to each other while they are added up;
// the last ones of the last group may be missing.
struct SparseConvTranspose {
  static constexpr std::int64_t kLanes = 16;

  std::int64_t channels;   // of the result
  std::int64_t kernel[2];  // rows and columns
  std::int64_t stride[2];
  std::int64_t begin[2];  // rows and columns of the whole result before the first one
  std::int64_t end[2];    // and behind the last one; negative: as many zeros are put there

  std::int64_t groups() const { return (channels + kLanes - 1) / kLanes; }
  std::int64_t run() const { return kernel[1] * kLanes; }  // numbers in a row of a kernel
  std::int64_t row() const { return kernel[0] * run(); }   // and in a kernel, of one group
  // Rows or columns of the result of so many.
  std::int64_t length(std::int64_t given, int axis) const {
    return (given - 1) * stride[axis] + kernel[axis] - begin[axis] - end[axis];
  }
};

// Throws std::invalid_argument where these are no such numbers.
void check(const SparseConvTranspose& conv);

namespace cpu {

// Memory of one thread, for rows of a group.
class SparseScratch {
 public:
  SparseScratch(const SparseConvTranspose& conv, const Sample<const float>& given,
                std::int64_t width, std::int64_t rows);

 private:
  friend void sparse_conv_transpose(const SparseConvTranspose&, const Sample<const float>&,
                                    const float*, std::int64_t, std::int64_t, std::int64_t,
                                    const Sample<float>&, SparseScratch&);
  std::int64_t wide_;          // numbers in a row of a plane
  std::vector<float> made_;    // (planes, rows, wide)
  std::vector<float> row_;     // (width, channels) of what is given
  std::vector<float> values_;  // that are not zero at a place
  std::vector<const float*> kernels_;
  std::vector<float> sum_;
};

// Makes rows [first, last) of a group of channels of one sample; `weight` is the group's,
// (channels given, row). The order of sums does not depend on which rows are made.
void sparse_conv_transpose(const SparseConvTranspose& conv, const Sample<const float>& given,
                           const float* weight, std::int64_t group, std::int64_t first,
                           std::int64_t last, const Sample<float>& result, SparseScratch& scratch);

}  // namespace cpu
}  // namespace onnxplain
