// The stages of the GPU, one after the other on the CPU.
#include "kernels/tree_paths.hpp"

#include <cstring>
#include <new>

namespace onnxplain::cpu {
namespace {

struct Host {
  template <class T>
  T* allocate(std::int64_t size) {
    return new (::operator new(sizeof(T) * static_cast<std::size_t>(size)))
        T[static_cast<std::size_t>(size)]();
  }
  void release(void* pointer) { ::operator delete(pointer); }

  template <class T>
  void up(const T* from, T* to, std::int64_t size) {
    std::copy_n(from, size, to);
  }
  template <class T>
  void down(const T* from, T* to, std::int64_t size) {
    std::copy_n(from, size, to);
  }

  template <class Stage>
  void run(const Stage& stage) {
    for (std::int64_t item = 0; item < stage.items(); ++item) {
      stage(item);
    }
  }
};

}  // namespace

void tree_values_by_paths(const Trees& trees, const TreeGame& game, Matrix<const double> x,
                          Matrix<double> out, Pause pause) {
  Host machine;
  paths::tree_values_on(machine, trees, game, x, out, pause);
}

}  // namespace onnxplain::cpu
