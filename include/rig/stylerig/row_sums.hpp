// A loss that is added up along rows first (the numbers of a code's row, the entries of a vector of parameters) and then over rows:
// two launches on a device, the second of one block. A loss is a struct:
//   static constexpr int width;                      numbers that are added along a row
//   static constexpr int results;                    numbers that are added over rows
//   add(std::int64_t row, std::int64_t i, A* s)      adds what entry i gives
//   add_row(std::int64_t row, A const* s, A* t)      adds what the row's sums give
//   store(A const* t)                                makes numbers of the sums, once
// A is double on the CPU and the loss's own scalar on a device; each adds in an order of its own that is always the same, whatever
// the number of threads.
#pragma once
#include "rig/core/tensor.hpp"
#include "rig/stylerig/cuda/row_sums.hpp"

namespace rig::inline RIG_ABI::stylerig::detail {

/// The sums along row of `count` entries: sixteen partial sums, which a vector unit can make together, joined as a tree.
template <class Loss> void sum_row(Loss const& loss, std::int64_t row, std::int64_t count, double* s) {
  constexpr int width = Loss::width;
  double part[16][width] = {};
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int k = 0; k < 16; ++k) loss.add(row, i + k, part[k]);
  for (int k = 0; i < count; ++i, ++k) loss.add(row, i, part[k]);
  for (int half = 8; half > 0; half /= 2)
    for (int k = 0; k < half; ++k)
      for (int c = 0; c < width; ++c) part[k][c] += part[k + half][c];
  for (int c = 0; c < width; ++c) s[c] = part[0][c];
}

template <class T, class Loss> struct SumRowKernel {
  Loss loss;
  T* part;
  std::int64_t count;
  void operator()(std::int64_t row) const {
    double s[Loss::width];
    sum_row(loss, row, count, s);
    for (int c = 0; c < Loss::width; ++c) part[row * Loss::width + c] = T(s[c]);
  }
};

/// Runs `loss` over rows of `count` entries.
template <class T, class Loss> void sum_rows(Device const& device, std::int64_t rows, std::int64_t count, Loss const& loss) {
  Tensor<T> part({rows, Loss::width}, device);
#if RIG_GPU
  if (!device.is_cpu()) {
    launch_in_rows(device, rows, SumRowByWarp<T, Loss>{loss, part.mutate(), rows, count});
    launch(device, {1, 1, 1}, AddRowsInBlock<T, Loss>{loss, part.data(), rows});
    return;
  }
#endif
  for_each_on_cpu(rows, SumRowKernel<T, Loss>{loss, part.mutate(), count});
  double t[Loss::results] = {};
  for (std::int64_t row = 0; row < rows; ++row) {
    double s[Loss::width];
    for (int c = 0; c < Loss::width; ++c) s[c] = double(part.data()[row * Loss::width + c]);
    loss.add_row(row, s, t);
  }
  loss.store(t);
}

template <class Loss> struct WriteRowKernel {
  Loss loss;
  std::int64_t count;
  void operator()(std::int64_t row) const {
    double s[Loss::width];
    sum_row(loss, row, count, s);
    loss.write_row(row, 0, 1, s);
  }
};
/// The sums along each row, and then loss.write_row(row, first, step, s): entries first, first + step .. of what follows from them.
template <class T, class Loss>
void write_rows([[maybe_unused]] Device const& device, std::int64_t rows, std::int64_t count, Loss const& loss) {
#if RIG_GPU
  if (!device.is_cpu()) return launch_in_rows(device, rows, WriteRowByWarp<T, Loss>{loss, rows, count});
#endif
  for_each_on_cpu(rows, WriteRowKernel<Loss>{loss, count});
}

}  // namespace rig::inline RIG_ABI::stylerig::detail
