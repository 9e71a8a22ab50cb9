// Work on channels-last pictures that touches every number once: neighbouring threads take neighbouring channels, four of them
// in one access where the extents and addresses allow it, and a block stays within one sample, so that what belongs to a sample
// or a channel is found without a division. One read and one write a number: the floor is the copy rate.
// Not yet measured on a GPU; see bench/results/PENDING.md.
#pragma once
#include <cstdint>

#include "rig/core/launch.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::detail {

/// V neighbours; four move in one access.
template <int V> struct Pack {
  float v[V];
  RIG_DEVICE float& operator[](int i) { return v[i]; }
  RIG_DEVICE float operator[](int i) const { return v[i]; }
};
template <int V> RIG_DEVICE Pack<V> load_pack(float const* p) {
  if constexpr (V == 4) {
    gpu::Float4 const q = gpu::load4(p);
    return {{q.x, q.y, q.z, q.w}};
  } else {
    return {{*p}};
  }
}
template <int V> RIG_DEVICE void store_pack(float* p, Pack<V> const& a) {
  if constexpr (V == 4)
    gpu::store4(p, {a.v[0], a.v[1], a.v[2], a.v[3]});
  else
    *p = a.v[0];
}
/// The pack at p, or zeros where there is no p.
template <int V> RIG_DEVICE Pack<V> load_pack_or_zero(float const* p, std::int64_t at) { return p ? load_pack<V>(p + at) : Pack<V>{}; }
template <int V> RIG_DEVICE void operator+=(Pack<V>& a, Pack<V> const& b) {
  for (int i = 0; i < V; ++i) a.v[i] += b.v[i];
}
/// a += s b
template <int V> RIG_DEVICE void add_scaled(Pack<V>& a, float s, Pack<V> const& b) {
  for (int i = 0; i < V; ++i) a.v[i] += s * b.v[i];
}

/// All of them at addresses that hold four numbers in one access; null counts as one.
template <class... P> bool aligned_for_packs(P const*... p) { return ((reinterpret_cast<std::uintptr_t>(p) % 16 == 0) && ...); }

/// body.run<V>(at, sample, row, channel): numbers [at, at + V), which are channels [channel, channel + V) of a row.
template <class Body, int V> struct EachChannelKernel {
  static constexpr int threads = 256;
  struct Shared {};
  Body body;
  unsigned packs, packs_a_row;  // of one sample
  RIG_DEVICE void operator()(Shared&) const {
    unsigned const i = unsigned(gpu::block().x) * unsigned(threads) + unsigned(gpu::thread());
    if (i >= packs) return;
    unsigned const row = i / packs_a_row, channel = (i - row * packs_a_row) * V;
    std::int64_t const sample = gpu::block().y;
    body.template run<V>((sample * packs + i) * V, sample, row, channel);
  }
};
/// body over [samples, rows, c] on a device, V channels at a time. False, and nothing done, if that is too large.
template <int V, class Body>
bool each_pack(Device const& device, std::int64_t samples, std::int64_t rows, std::int64_t c, Body const& body) {
  std::int64_t const packs = rows * c / V, most = std::int64_t(1) << 31;
  if (samples > 65535 || packs >= most) return false;
  launch(device, {int((packs + 255) / 256), int(samples), 1}, EachChannelKernel<Body, V>{body, unsigned(packs), unsigned(c / V)});
  return true;
}
/// The same, four channels at a time if there are as many and `four`, all addresses are aligned.
template <class Body>
bool each_channel(Device const& device, std::int64_t samples, std::int64_t rows, std::int64_t c, bool four, Body const& body) {
  return four && c % 4 == 0 ? each_pack<4>(device, samples, rows, c, body) : each_pack<1>(device, samples, rows, c, body);
}
/// body over n numbers without rows, if they go by four.
template <class Body> bool each_number(Device const& device, std::int64_t n, bool four, Body const& body) {
  return four && n % 4 == 0 && each_pack<4>(device, 1, n / 4, 4, body);
}

}  // namespace rig::inline RIG_ABI::detail
#endif
