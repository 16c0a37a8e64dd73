// Patches of values put where they belong: what stands around them is a whole value's, and what
// lies beyond that is filled.
#pragma once

#include <cstdint>
#include <vector>

#include "onnxplain/tensor_view.hpp"

namespace onnxplain {

// Patches of planes, cut-outs of them with what is around, and the planes themselves.
struct Surroundings {
  std::int64_t samples;   // of the patches
  std::int64_t channels;  // of all
  std::int64_t wholes;    // samples of the whole value: patch k belongs to the (k mod wholes)-th
  std::int64_t patch[2];  // rows and columns
  std::int64_t whole[2];
  std::int64_t made[2];

  ONNXPLAIN_HOST_DEVICE std::int64_t planes() const { return samples * channels; }
  ONNXPLAIN_HOST_DEVICE std::int64_t size() const {  // numbers in a plane that is made
    return made[0] * made[1];
  }
};

// Reads shapes: of patches (S, C, h, w), of the whole (N, C, H, W), of where patches and results
// begin, (S, 2) each. Throws std::invalid_argument where they do not fit, or S is no multiple of N.
Surroundings surroundings(const std::vector<std::int64_t>& patch,
                          const std::vector<std::int64_t>& whole,
                          const std::vector<std::int64_t>& at,
                          const std::vector<std::int64_t>& from,
                          const std::vector<std::int64_t>& size);

namespace cpu {

// Writes the planes from `begin` to `end`.
void surround(const Surroundings& all, const float* patch, const float* whole,
              const std::int64_t* at, const std::int64_t* from, float fill, std::int64_t begin,
              std::int64_t end, float* out);

}  // namespace cpu
}  // namespace onnxplain
