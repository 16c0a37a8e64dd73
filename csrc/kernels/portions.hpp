// How a GPU's threads share an operation: by columns, and by rows of each.
//
// An operation says how many there are, `extent_of(op)`, and does a thread's portion,
// `run_portion(op, portion)`, which depends on no other thread's; there are no more portions of
// rows than rows. Nothing of it needs a GPU: a test runs the threads one after the other on the
// host.
#pragma once

#include <cstdint>

#include "onnxplain/tensor_view.hpp"

namespace onnxplain::threads {

struct Extent {
  std::int64_t columns;
  std::int64_t rows;
};

// Every so many columns from one on, and of each every so many rows.
struct Portion {
  std::int64_t column;
  std::int64_t columns;
  std::int64_t row;
  std::int64_t rows;
};

}  // namespace onnxplain::threads
