// What kernels see of a tensor: a pointer and its extents, copied by value to the device.
#pragma once
#include <cstdint>
#include <type_traits>

#include "rig/core/config.hpp"

namespace rig::inline RIG_ABI {

template <class T, int R> struct View {
  T* data;
  std::int64_t d[R];

  template <class... I> RIG_HD T& operator()(I... index) const {
    static_assert(sizeof...(I) == R, "one index for each axis");
    std::int64_t const at[R] = {std::int64_t(index)...};
    std::int64_t k = 0;
    for (int a = 0; a < R; ++a) k = k * d[a] + at[a];
    return data[k];
  }
  RIG_HD std::int64_t size() const {
    std::int64_t s = 1;
    for (int a = 0; a < R; ++a) s *= d[a];
    return s;
  }
  /// A view that writes is also one that reads.
  template <class U>
  requires(std::is_same_v<U, T const> && !std::is_const_v<T>) RIG_HD operator View<U, R>() const {
    View<U, R> v{data, {}};
    for (int a = 0; a < R; ++a) v.d[a] = d[a];
    return v;
  }
};

}  // namespace rig::inline RIG_ABI
