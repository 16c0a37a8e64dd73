#include "ort_ops/surround_op.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/surround.hpp"
#include "onnxplain/check.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {
namespace {

// Inputs: patches, the whole value, where patches begin in it, where results begin in it.
// Attributes: size, rows and columns of results; fill, one number, what lies beyond the whole.
class Surround {
 public:
  static constexpr const char* kName = "Surround";
  static constexpr ElementType kInputs[] = {kFloat, kFloat, kInt64, kInt64};
  static constexpr std::size_t kRequiredInputs = 4;

  static std::optional<Lengths> shape(const Shapes& shapes) {
    std::optional<Lengths> found = shapes.input(0);
    const auto size = shapes.two("size");
    if (!found || found->size() != 4 || !size || (*size)[0] < 0 || (*size)[1] < 0) {
      return std::nullopt;
    }
    for (std::size_t k = 0; k < 2; ++k) {
      (*found)[2 + k] = {(*size)[k], ""};
    }
    return found;
  }

  explicit Surround(const Info& info) : size_(info.ints("size")), fill_(info.floats("fill")) {
    require(fill_.size() == 1, "Surround: fill must be one number");
  }

  void compute(const Context& context) const {
    const Value* patch = context.input(0);
    const Value* whole = context.input(1);
    const Value* at = context.input(2);
    const Value* from = context.input(3);
    const Surroundings all = surroundings(context.shape(patch), context.shape(whole),
                                          context.shape(at), context.shape(from), size_);
    float* out = context.output({all.samples, all.channels, all.made[0], all.made[1]});
    const float* patches = context.floats(patch);
    const float* wholes = context.floats(whole);
    const std::int64_t* places = context.ints(at);
    const std::int64_t* starts = context.ints(from);
    over_ranges(context, all.planes(),
                std::max<std::int64_t>(1, kTask / std::max<std::int64_t>(1, all.size())),
                [&](std::int64_t begin, std::int64_t end) {
                  cpu::surround(all, patches, wholes, places, starts, fill_[0], begin, end, out);
                });
  }

 private:
  std::vector<std::int64_t> size_;
  std::vector<float> fill_;
};

}  // namespace

const CustomOp& surround_op() {
  static const CustomOp op = described<Surround>();
  return op;
}

}  // namespace onnxplain::ort
