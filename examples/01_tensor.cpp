// What is a tensor, and who may write into it?
//   build/example_01_tensor
#include <cstdio>
#include <string>

#include "rig/rig.hpp"

using namespace rig;

namespace {
/// A kernel: views and numbers, and one call operator that the CPU and CUDA both run. Here: a picture turned to grey.
struct GreyKernel {
  float* y;
  float const* x;
  RIG_HD void operator()(std::int64_t pixel) const {
    y[pixel] = 0.299f * x[3 * pixel] + 0.587f * x[3 * pixel + 1] + 0.114f * x[3 * pixel + 2];
  }
};

Tensor<float> grey(Tensor<float> const& picture) {
  check(picture.rank() == 4 && picture.dim(3) == 3, "grey: picture must be [n, h, w, 3], got ", picture.shape());
  Tensor<float> y(Shape{picture.dim(0), picture.dim(1), picture.dim(2), 1}, picture.device());
  for_each(y.device(), y.size(), GreyKernel{y.mutate(), picture.data()});
  return y;
}

void print(char const* what, std::string const& value) { std::printf("%-44s %s\n", what, value.c_str()); }
}  // namespace

int main() {
  // A shape and one contiguous block on a device. Pictures are [n, h, w, c] everywhere in rig.
  Device const device = cpu();  // cuda() in a CUDA build: nothing below changes
  Rng rng(7);
  Tensor<float> const pictures = rand<float>({2, 4, 4, 3}, rng, device);
  print("two pictures", str(pictures.shape(), ", ", pictures.size(), " numbers on ", device));

  // Handles share their block: one picture of the batch, or the same numbers under another shape, cost nothing.
  Tensor<float> const second = pictures[1];
  Tensor<float> const flat = pictures.reshape({2, 48});
  print("the second one", str(second.shape(), second.data() == pictures.data() + 48 ? ", in the same memory" : ", a copy"));

  // Writing goes through mutate(), which counts; whoever remembered the tensor can tell that it changed.
  Tensor<float> mine = flat.clone();
  int const before = mine.version();
  mine.mutate()[0] = 1;
  print("version of a tensor before and after writing", str(before, ", ", mine.version()));

  // A view is what kernels see: indices instead of pointer arithmetic.
  auto const at = pictures.view<4>();
  print("picture 1, row 2, column 3, green", str(at(1, 2, 3, 1)));

  // Kernels run in parallel on the CPU or on the GPU, and an element is written by one call only.
  Tensor<float> const g = grey(pictures);
  float const sum = rig::sum(Var<float>(g)).item();
  print("grey", str(g.shape(), ", mean ", sum / float(g.size())));

  // Errors say what was expected and what was found.
  try {
    grey(flat);
  } catch (Error const& e) {
    print("a wrong shape", e.what());
  }
  return std::abs(sum / float(g.size()) - 0.5f) < 0.2f ? 0 : 1;
}
