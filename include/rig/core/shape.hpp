// The extents of a tensor, row-major: the last one is contiguous. Image-like tensors are [n, h, w, c] everywhere in rig.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <limits>

#include "rig/core/error.hpp"

namespace rig::inline RIG_ABI {

class Shape {
 public:
  static constexpr int max_rank = 8;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents) {
    for (auto v : extents) append(v);
  }
  template <class It> Shape(It first, It last) {
    for (; first != last; ++first) append(*first);
  }

  int rank() const { return rank_; }
  /// Extent of an axis; negative axes count from the end.
  std::int64_t operator[](int axis) const {
    int a = axis < 0 ? axis + rank_ : axis;
    check(a >= 0 && a < rank_, "Shape: axis ", axis, " does not exist in a tensor of rank ", rank_);
    return d_[std::size_t(a)];
  }
  /// Number of elements: the product of the extents, 1 for rank 0.
  std::int64_t size() const {
    std::int64_t s = 1;
    for (int i = 0; i < rank_; ++i) s *= d_[std::size_t(i)];
    return s;
  }
  Shape& append(std::int64_t extent) {
    check(rank_ < max_rank, "Shape: at most ", max_rank, " axes");
    check(extent >= 0, "Shape: extents must not be negative, got ", extent);
    check(extent == 0 || size() <= std::numeric_limits<std::int64_t>::max() / 16 / extent, "Shape: too many elements: ", *this, " times ",
          extent);
    d_[std::size_t(rank_++)] = extent;
    return *this;
  }
  /// The same shape with one extent replaced.
  Shape with(int axis, std::int64_t extent) const {
    Shape s;
    int a = axis < 0 ? axis + rank_ : axis;
    for (int i = 0; i < rank_; ++i) s.append(i == a ? extent : d_[std::size_t(i)]);
    return s;
  }
  auto begin() const { return d_.begin(); }
  auto end() const { return d_.begin() + rank_; }

  // Written out: the defaulted comparison of all extents came out wrong under g++ 12 with -O3 and AVX-512.
  friend bool operator==(Shape const& a, Shape const& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i)
      if (a.d_[std::size_t(i)] != b.d_[std::size_t(i)]) return false;
    return true;
  }
  friend std::ostream& operator<<(std::ostream& o, Shape const& s) {
    o << "[";
    for (int i = 0; i < s.rank_; ++i) o << (i ? ", " : "") << s.d_[std::size_t(i)];
    return o << "]";
  }

 private:
  std::array<std::int64_t, max_rank> d_{};
  int rank_ = 0;
};

}  // namespace rig::inline RIG_ABI
