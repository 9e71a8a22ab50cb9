// Sums over the pixels that each triangle owns, on a device that is not the CPU: the way back from pixels to the corners of
// triangles, without atomics, so with the same bits on every run. A thread scans the box of its triangle when that has few
// pixels, which is the rule on a dense face; then the warp scans its larger triangles together, and then the block the largest,
// each with a fixed tree. Vertices gather the sums of their triangles afterwards.
// Bytes: about 4 a pixel of a box read, Terms::width numbers a triangle that owns a pixel written. Not yet measured on a GPU; see
// bench/results/PENDING.md.
#pragma once
#include "rig/render/cuda/coverage.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::render::detail {

/// Terms say what a pixel adds: `add(image, screen triangle, corners, row, column, T* s)` to 3 x row numbers, corner by corner in
/// the order of the screen triangle. Members: projected, triangle, mesh, size.
template <class Terms> struct OwnedPixelSums {
  static constexpr int threads = 128, width = Terms::width, row = width / 3;
  static constexpr int blocks = 3;  // four would leave too few registers
  struct Shared {
    int count;
    int largest[threads];
    float part[threads / 32][width];
    int owner[threads / 32];
  };
  Terms terms;
  float* sum;           // [images, F, 3, row], written where owns
  unsigned char* owns;  // [images, F]
  std::int64_t first;   // image

  RIG_DEVICE bool set(ScreenTriangle<float>& s, std::int64_t image, std::int64_t f) const {
    return set_screen_triangle(s, terms.projected + 3 * image * terms.mesh.vertices, terms.mesh.triangle + 3 * f, terms.size, false);
  }
  /// The part of one of Columns x Rows threads; true if it found a pixel.
  template <int Columns, int Rows>
  RIG_DEVICE bool scan(ScreenTriangle<float> const& s, std::int64_t image, std::int64_t f, int thread, float (&t)[width]) const {
    for (int c = 0; c < width; ++c) t[c] = 0;
    int const *seen = terms.triangle + image * terms.size.height * terms.size.width, *corners = terms.mesh.triangle + 3 * f;
    int const w = int(terms.size.width), left = int(s.left) + thread % Columns, right = int(s.right), bottom = int(s.bottom);
    bool any = false;
    for (int i = int(s.top) + thread / Columns; i <= bottom; i += Rows)
      for (int j = left; j <= right; j += Columns) {
        if (seen[i * w + j] != int(f)) continue;
        terms.add(image, s, corners, i, j, t);
        any = true;
      }
    return any;
  }
  /// Puts corner k of the screen triangle where corner order[k] of the mesh's belongs.
  RIG_DEVICE void store(ScreenTriangle<float> const& s, std::int64_t image, std::int64_t f, float const* t) const {
    float* const out = sum + (image * terms.mesh.faces + f) * width;
    for (int k = 0; k < 3; ++k)
      for (int c = 0; c < row; ++c) out[s.order[k] * row + c] = t[k * row + c];
  }
  RIG_DEVICE void operator()(Shared& shared) const {
    int const thread = gpu::thread(), lane = gpu::lane(), warp = gpu::warp();
    std::int64_t const image = first + gpu::block().y, f = std::int64_t(gpu::block().x) * threads + thread;
    if (thread == 0) shared.count = 0;
    gpu::barrier();
    ScreenTriangle<float> s;
    float t[width];
    std::int64_t const pixels = f < terms.mesh.faces && set(s, image, f) ? s.pixels() : 0;
    if (pixels > 0 && pixels <= thread_pixels) {
      bool const any = scan<1, 1>(s, image, f, 0, t);
      if (any) store(s, image, f, t);
      owns[image * terms.mesh.faces + f] = any;
    } else if (pixels == 0 && f < terms.mesh.faces) {
      owns[image * terms.mesh.faces + f] = 0;
    }
    for (unsigned left = gpu::ballot(pixels > thread_pixels && pixels <= warp_pixels); left; left &= left - 1) {
      std::int64_t const g = f - lane + gpu::lowest_bit(left);
      set(s, image, g);
      bool const any = gpu::any(scan<8, 4>(s, image, g, lane, t));
      if (any) {
        for (int c = 0; c < width; ++c) t[c] = gpu::warp_sum(t[c]);
        if (lane == 0) store(s, image, g, t);
      }
      if (lane == 0) owns[image * terms.mesh.faces + g] = any;
    }
    // Which place a triangle gets here does not matter: its sums are its own.
    if (pixels > warp_pixels) shared.largest[gpu::atomic_add(&shared.count, 1)] = thread;
    gpu::barrier();
    for (int k = 0; k < shared.count; ++k) {
      std::int64_t const g = f - thread + shared.largest[k];
      set(s, image, g);
      bool const any = gpu::any(scan<32, 4>(s, image, g, thread, t));
      for (int c = 0; c < width; ++c) {
        float const of_warp = gpu::warp_sum(t[c]);
        if (lane == 0) shared.part[warp][c] = of_warp;
      }
      if (lane == 0) shared.owner[warp] = any;
      gpu::barrier();
      if (thread == 0) {
        bool owned = false;
        for (int w = 0; w < threads / 32; ++w) owned = owned || shared.owner[w] != 0;
        for (int c = 0; c < width; ++c) {
          t[c] = shared.part[0][c];
          for (int w = 1; w < threads / 32; ++w) t[c] += shared.part[w][c];
        }
        if (owned) store(s, image, g, t);
        owns[image * terms.mesh.faces + g] = owned;
      }
      gpu::barrier();
    }
  }
};
template <class Terms>
void sum_owned_pixels(Device const& device, float* sum, unsigned char* owns, std::int64_t images, Terms const& terms) {
  using K = OwnedPixelSums<Terms>;
  for (std::int64_t first = 0; first < images; first += 65535)
    launch(device, {int((terms.mesh.faces + K::threads - 1) / K::threads), int(std::min<std::int64_t>(images - first, 65535)), 1},
           K{terms, sum, owns, first});
}

}  // namespace rig::inline RIG_ABI::render::detail
#endif
