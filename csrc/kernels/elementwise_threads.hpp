// An elementwise program as a GPU's threads run it: a few elements at once, step by step.
//
// A step's result is in registers for the next step; what a later one reads has a place, which on a
// GPU is in shared memory, a thread's own. All that a launch needs is one structure of fixed size,
// which goes to the kernel with its other parameters, so that nothing is copied to the device.
//
// Nothing here needs a GPU: the test runs the threads one after the other on the host.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/elementwise.hpp"

#ifdef __CUDACC__
#define ONNXPLAIN_UNROLL _Pragma("unroll")
#define ONNXPLAIN_APART __noinline__
#else
#define ONNXPLAIN_UNROLL
#define ONNXPLAIN_APART
#endif

namespace onnxplain::threads {

// What fits the 4096 bytes of a kernel's parameters, and the shared memory of a block of threads.
inline constexpr int kMostSteps = 128;
inline constexpr int kMostConstants = 64;
inline constexpr int kMostInputs = 32;
inline constexpr int kMostLengths = 128;
inline constexpr int kMostPlaces = 96;

// Operands are numbered as in Step, but that steps give way to places; and these are no numbers.
inline constexpr std::int16_t kNone = -1;
inline constexpr std::int16_t kPrevious = -2;  // the result of the step before

struct Instruction {
  std::uint8_t kind;
  std::int8_t place;  // where the result is kept; -1: nowhere
  std::int16_t operands[3];
};

struct Program {
  std::int32_t inputs;
  std::int32_t constants;
  std::int32_t steps;
  std::int32_t places;
  Instruction step[kMostSteps];
  float constant[kMostConstants];
};

// Throws std::invalid_argument where a program of so many inputs is larger than the above.
Program program(const ElementwiseProgram& from, std::int64_t inputs);

// An input; its axes are by turns repeated and there, beginning with the last.
template <class T>
struct Input {
  const T* data;
  std::uint8_t first;  // of its lengths
  std::uint8_t rank;   // 0: the input has the result's own shape
  bool repeated;       // whether its last axis is
  bool aligned;        // whether it may be read several elements at once
};

// All that a launch needs.
template <class T>
struct Launch {
  Program program;
  Input<T> input[kMostInputs];
  std::int64_t length[kMostLengths];
  T* out;
  bool aligned;
  std::int64_t total;
};

static_assert(sizeof(Launch<float>) <= 4096 && sizeof(Launch<Half>) <= 4096);

// Elements that a thread works on at once, where all places of its block fit.
inline constexpr int kWidth = 4;

// Lengths of one input where a launch is no program's.
inline constexpr int kMostAxes = 16;

// Elements that are counted in 32 bits.
inline constexpr std::int64_t kMostIn32 = 0x7fffffff;

// Whether elements may be read or written kWidth at once.
template <class T>
bool is_aligned(const T* data);

// An input, whose lengths go behind `lengths` others; these must fit.
template <class T>
Input<T> input(const Operand<T>& from, std::int64_t* length, std::size_t lengths);

// Throws std::invalid_argument where the shapes of inputs have more lengths than fit.
template <class T>
Launch<T> launch(const Program& program, const std::vector<Operand<T>>& operands, T* out,
                 std::int64_t total);

// Numbers next to each other, one for each of a thread's elements.
template <int Width>
struct alignas(sizeof(float) * Width) Pack {
  float at[Width];
};

// The same in memory.
template <class T, int Width>
struct alignas(sizeof(T) * Width) Stored {
  T at[Width];
};

// Where an element of the result lies in an input with repeated axes; `within` is its place in the
// last of them.
template <class Index>
ONNXPLAIN_HOST_DEVICE inline Index offset_of(const std::int64_t* lengths, int rank, bool repeated,
                                             Index element, Index& within) {
  Index stride = 1;
  Index offset = 0;
  bool there = !repeated;
  for (int axis = rank - 1; axis >= 0; --axis) {
    Index at = element;
    if (axis > 0) {
      const Index length = static_cast<Index>(lengths[axis]);
      element = at / length;
      at -= element * length;
      if (there) {
        offset += at * stride;
        stride *= length;
      }
    } else if (there) {
      offset += at * stride;
    }
    if (axis == rank - 1) {
      within = at;
    }
    there = !there;
  }
  return offset;
}

// Reads elements one by one, where a run of them ends in between: seldom, and so not written into
// what calls it.
template <class Index, int Width, class T>
ONNXPLAIN_HOST_DEVICE ONNXPLAIN_APART Pack<Width> read_apart(const Input<T>& from,
                                                             const std::int64_t* lengths,
                                                             Index element, int count) {
  Pack<Width> made{};
  for (int i = 0; i < count; ++i) {
    Index within = 0;
    made.at[i] = to_float(from.data[offset_of<Index>(lengths, from.rank, from.repeated,
                                                     element + static_cast<Index>(i), within)]);
  }
  return made;
}

// Reads `count` elements of an input, from `element` of the result on.
template <class Index, int Width, class T>
ONNXPLAIN_HOST_DEVICE inline Pack<Width> read(const Input<T>& from, const std::int64_t* lengths,
                                              std::int64_t element, int count) {
  Pack<Width> made{};
  const T* data = from.data;
  bool one = false;  // whether all elements are the same
  if (from.rank == 0) {
    data += element;
    if (Width > 1 && from.aligned && count == Width) {
      const auto stored = *reinterpret_cast<const Stored<T, Width>*>(data);
      ONNXPLAIN_UNROLL
      for (int i = 0; i < Width; ++i) {
        made.at[i] = to_float(stored.at[i]);
      }
      return made;
    }
  } else {
    const std::int64_t* own = lengths + from.first;
    Index within = 0;
    const Index start = static_cast<Index>(element);
    const Index offset = offset_of<Index>(own, from.rank, from.repeated, start, within);
    if (static_cast<std::int64_t>(within) + count > own[from.rank - 1]) {
      return read_apart<Index, Width>(from, own, start, count);
    }
    data += offset;
    one = from.repeated;
  }
  ONNXPLAIN_UNROLL
  for (int i = 0; i < Width; ++i) {
    if (i < count) {
      made.at[i] = to_float(data[one ? 0 : i]);
    }
  }
  return made;
}

// Writes `count` elements of a result, from `element` on.
template <class T, int Width>
ONNXPLAIN_HOST_DEVICE inline void put(T* result, bool aligned, std::int64_t element, int count,
                                      const Stored<T, Width>& stored) {
  T* out = result + element;
  if (Width > 1 && aligned && count == Width) {
    *reinterpret_cast<Stored<T, Width>*>(out) = stored;
    return;
  }
  ONNXPLAIN_UNROLL
  for (int i = 0; i < Width; ++i) {
    if (i < count) {
      out[i] = stored.at[i];
    }
  }
}

// The same, rounded to their type.
template <class T, int Width>
ONNXPLAIN_HOST_DEVICE inline void write(T* result, bool aligned, std::int64_t element, int count,
                                        const Pack<Width>& made) {
  Stored<T, Width> stored;
  ONNXPLAIN_UNROLL
  for (int i = 0; i < Width; ++i) {
    stored.at[i] = from_float<T>(made.at[i]);
  }
  put(result, aligned, element, count, stored);
}

#define ONNXPLAIN_APPLY(name, number, operands, meaning) \
  case StepKind::name:                                   \
    ONNXPLAIN_UNROLL                                     \
    for (int i = 0; i < Width; ++i) {                    \
      const float x = a.at[i];                           \
      [[maybe_unused]] const float y = b.at[i];          \
      [[maybe_unused]] const float z = c.at[i];          \
      made.at[i] = (meaning);                            \
    }                                                    \
    break;

template <int Width>
ONNXPLAIN_HOST_DEVICE inline Pack<Width> apply(StepKind kind, const Pack<Width>& a,
                                               const Pack<Width>& b, const Pack<Width>& c) {
  Pack<Width> made{};
  switch (kind) {
    ONNXPLAIN_STEPS(ONNXPLAIN_APPLY)
    case StepKind::kCount:
      break;
  }
  return made;
}

#undef ONNXPLAIN_APPLY

// Makes `count` elements of the result, from `element` on; `places` are the thread's own, one in
// each `stride` packs.
template <class Index, int Width, class T>
ONNXPLAIN_HOST_DEVICE inline void run(const Launch<T>& launch, std::int64_t element, int count,
                                      Pack<Width>* places, int stride) {
  const Program& program = launch.program;
  const int given = program.inputs + program.constants;
  Pack<Width> last{};
  const auto value = [&](std::int16_t from) {
    Pack<Width> made{};
    if (from == kPrevious) {
      made = last;
    } else if (from >= given) {
      made = places[(from - given) * stride];
    } else if (from >= program.inputs) {
      ONNXPLAIN_UNROLL
      for (int i = 0; i < Width; ++i) {
        made.at[i] = program.constant[from - program.inputs];
      }
    } else if (from >= 0) {
      made = read<Index, Width>(launch.input[from], launch.length, element, count);
    }
    return made;
  };
  for (int k = 0; k < program.steps; ++k) {
    const Instruction& step = program.step[k];
    last = apply<Width>(static_cast<StepKind>(step.kind), value(step.operands[0]),
                        value(step.operands[1]), value(step.operands[2]));
    if (step.place >= 0) {
      places[step.place * stride] = last;
    }
  }
  write(launch.out, launch.aligned, element, count, last);
}

}  // namespace onnxplain::threads

#ifdef ONNXPLAIN_WITH_CUDA
#include <cuda_runtime_api.h>

namespace onnxplain::cuda {
// Starts work on a stream and returns the status of the launch, which the caller must check.
template <class T>
[[nodiscard]] cudaError_t elementwise(const threads::Launch<T>& launch, cudaStream_t stream);
}  // namespace onnxplain::cuda
#endif
