// Which triangle each pixel sees, on a device that is not the CPU: an atomic maximum of the 64-bit keys of visibility.hpp, whose
// result does not depend on who comes first. One thread sets up one triangle from the projected positions and draws it when its
// box has few pixels, which is the rule on a dense face (a quarter of a pixel each at 224 px). The warp then draws its larger
// triangles together, one after the other, and those that would keep a warp busy for long go to a queue that blocks share.
// A full queue only means that the warp draws the triangle itself: nothing is lost, nothing is asked of the host.
// Bytes: 12 an index triple and about 12 a vertex and image read, 8 a fragment written. Not yet measured on a GPU; see
// bench/results/PENDING.md.
#pragma once
#include "rig/render/screen_triangle.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::render::detail {

inline constexpr std::int64_t thread_pixels = 32, warp_pixels = 4096;  // largest boxes one thread, one warp deals with
inline constexpr int queue_capacity = 4096;

/// Triangles of a batch on the screen.
struct CoverageScene {
  std::uint64_t* keys;  // [images, h, w]
  float const* projected;
  MeshView<float> mesh;
  ImageSize size;
  bool cull;
  int* queue;  // count, then (image, triangle) pairs; null: none is so large

  RIG_DEVICE bool set(ScreenTriangle<float>& s, std::int64_t image, std::int64_t f) const {
    return set_screen_triangle(s, projected + 3 * image * mesh.vertices, mesh.triangle + 3 * f, size, cull);
  }
  template <int Columns, int Rows>
  RIG_DEVICE void draw_together(ScreenTriangle<float> const& s, std::int64_t image, std::int64_t f, int thread) const {
    std::uint64_t* const k = keys + image * size.height * size.width;
    if (s.fits_32_bits())
      draw<float, std::int32_t, Columns, Rows>(s, k, size.width, std::uint32_t(f), thread);
    else
      draw<float, std::int64_t, Columns, Rows>(s, k, size.width, std::uint32_t(f), thread);
  }
};

/// All triangles of a row of the grid's image, but for those it puts into the queue.
struct CoverageKernel {
  static constexpr int threads = 256;
  struct Shared {};
  CoverageScene scene;
  RIG_DEVICE void operator()(Shared&) const {
    std::int64_t const image = gpu::block().y, f = std::int64_t(gpu::block().x) * threads + gpu::thread();
    ScreenTriangle<float> s;
    bool large = false;
    if (f < scene.mesh.faces && scene.set(s, image, f)) {
      large = s.pixels() > thread_pixels || !s.fits_32_bits();
      if (!large)
        draw<float, std::int32_t, 1, 1>(s, scene.keys + image * scene.size.height * scene.size.width, scene.size.width, std::uint32_t(f),
                                        0);
    }
    for (unsigned left = gpu::ballot(large); left; left &= left - 1) {
      std::int64_t const g = f - gpu::lane() + gpu::lowest_bit(left);
      scene.set(s, image, g);
      if (scene.queue && s.pixels() > warp_pixels) {
        int const place = gpu::shuffle(gpu::lane() == 0 ? gpu::atomic_add(scene.queue, 1) : 0, 0);
        if (place < queue_capacity) {
          if (gpu::lane() == 0) scene.queue[1 + 2 * place] = int(image), scene.queue[2 + 2 * place] = int(g);
          continue;
        }
      }
      scene.draw_together<8, 4>(s, image, g, gpu::lane());
    }
  }
};
/// The queue: a block takes a strip of rows of every so many triangles.
struct CoverageQueueKernel {
  static constexpr int threads = 128, strips = 8, takers = 16;
  struct Shared {};
  CoverageScene scene;
  RIG_DEVICE void operator()(Shared&) const {
    int const count = scene.queue[0] < queue_capacity ? scene.queue[0] : queue_capacity;
    for (int e = gpu::block().y; e < count; e += takers) {
      int const image = scene.queue[1 + 2 * e], f = scene.queue[2 + 2 * e];
      ScreenTriangle<float> s;
      scene.set(s, image, f);
      std::int64_t const top = s.top, rows = s.bottom - s.top + 1, strip = gpu::block().x;
      s.top = top + rows * strip / strips, s.bottom = top + rows * (strip + 1) / strips - 1;
      scene.draw_together<32, 4>(s, image, f, gpu::thread());
    }
  }
};

/// Draws all triangles of `images` images into keys that were zero.
inline void cover(Device const& device, std::uint64_t* keys, float const* projected, std::int64_t images, MeshView<float> const& mesh,
                  ImageSize size, bool cull) {
  Tensor<int> queue;
  if (size.height * size.width > warp_pixels) {
    queue = Tensor<int>({1 + 2 * queue_capacity}, device);
    for_each(device, 1, rig::detail::FillKernel<int>{queue.mutate(), 0});
  }
  CoverageScene scene{keys, projected, mesh, size, cull, queue ? queue.mutate() : nullptr};
  std::int64_t const pixels = size.height * size.width;
  for (std::int64_t first = 0; first < images; first += 65535) {
    scene.keys = keys + first * pixels, scene.projected = projected + 3 * first * mesh.vertices;
    int const count = int(std::min<std::int64_t>(images - first, 65535));
    launch(device, {int((mesh.faces + CoverageKernel::threads - 1) / CoverageKernel::threads), count, 1}, CoverageKernel{scene});
    if (!queue) continue;
    launch(device, {CoverageQueueKernel::strips, CoverageQueueKernel::takers, 1}, CoverageQueueKernel{scene});
    if (first + count < images) for_each(device, 1, rig::detail::FillKernel<int>{queue.mutate(), 0});
  }
}

}  // namespace rig::inline RIG_ABI::render::detail
#endif
