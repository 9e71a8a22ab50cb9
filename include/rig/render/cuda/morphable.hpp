// The two products of a linear model on a device that is not the CPU. A basis of 53,149 vertices and 224 modes is 143 MB, a
// hundred times everything else, so both kernels are built to read it once a batch.
//   combine: a thread keeps 4 columns x up to 16 images in registers and walks over the modes in ascending order, so every
//            result has the CPU's roundings. A mode costs it 4 loads of the basis, which neighbouring threads coalesce, 4 wide
//            loads of coefficients from shared memory and 64 products. Groups of 16 images of the same columns are neighbours
//            in the grid: all but the first find the basis in the L2.
//   inner:   a block multiplies up to 64 images with 64 modes over 512 columns, from shared tiles that arrive while the ones
//            before are used; the partial sums of all blocks are then added in a fixed order.
// With 16 images both need about 1.1 GFLOP for 143 MB. Not yet measured on a GPU; see bench/results/PENDING.md.
#pragma once
#include "rig/render/per_image.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::render::detail {

/// What linear_model computes: y [images, columns] = mean + c [images, modes] b [modes, columns].
struct Combination {
  float* y;
  float const *c, *b, *mean;  // mean may be null
  std::int64_t images, modes, columns;
};
template <int Images> struct CombineTile {
  static constexpr int threads = 128, columns = 4, chunk = 128, ahead = 4;
  struct Shared {
    alignas(16) float c[chunk][Images];
  };
  Combination p;
  RIG_DEVICE void operator()(Shared& shared) const {
    std::int64_t const groups = (p.images + Images - 1) / Images, first = gpu::block().x % groups * Images,
                       begin = gpu::block().x / groups * (threads * columns) + gpu::thread();
    std::int64_t at[columns];  // columns beyond the last repeat it and are not stored
    float s[Images][columns];
    for (int q = 0; q < columns; ++q) {
      at[q] = begin + q * threads < p.columns ? begin + q * threads : p.columns - 1;
      float const m = p.mean ? p.mean[at[q]] : 0.0f;
      for (int i = 0; i < Images; ++i) s[i][q] = m;
    }
    for (std::int64_t start = 0; start < p.modes; start += chunk) {
      gpu::barrier();
      for (int e = gpu::thread(); e < chunk * Images; e += threads) {
        int const i = e / chunk, k = e % chunk;
        shared.c[k][i] = first + i < p.images && start + k < p.modes ? p.c[(first + i) * p.modes + start + k] : 0.0f;
      }
      gpu::barrier();
      int const count = int(p.modes - start < chunk ? p.modes - start : chunk);
      for (int k = 0; k < count; k += ahead) {
        float v[ahead][columns];
        for (int a = 0; a < ahead; ++a) {
          float const* row = p.b + (k + a < count ? start + k + a : p.modes - 1) * p.columns;  // beyond the last: times zero
          for (int q = 0; q < columns; ++q) v[a][q] = row[at[q]];
        }
        for (int a = 0; a < ahead; ++a)
          for (int i = 0; i < Images; ++i)
            for (int q = 0; q < columns; ++q) s[i][q] = mul_add(shared.c[k + a][i], v[a][q], s[i][q]);
      }
    }
    for (int i = 0; i < Images; ++i)
      for (int q = 0; q < columns; ++q)
        if (first + i < p.images && begin + q * threads < p.columns) p.y[(first + i) * p.columns + at[q]] = s[i][q];
  }
};
inline void combine_on_device(Device const& device, Combination const& p) {
  auto run = [&](auto together) {
    constexpr int images = decltype(together)::value;
    std::int64_t const groups = (p.images + images - 1) / images, span = CombineTile<images>::threads * CombineTile<images>::columns;
    launch(device, {int(groups * ((p.columns + span - 1) / span)), 1, 1}, CombineTile<images>{p});
  };
  if (p.images == 1)
    run(std::integral_constant<int, 1>{});
  else if (p.images <= 8)
    run(std::integral_constant<int, 8>{});
  else
    run(std::integral_constant<int, 16>{});
}

/// Partial inner products of the rows of g [images, columns] and b [modes, columns] over 512 columns: out [block, image, mode].
template <int Rows> struct InnerTile {
  static constexpr int threads = 128, images = 8 * Rows, modes = 64, step = 32, span = 512;
  // Rows are 36 numbers apart, so that eight lanes that read four numbers of eight rows meet 32 banks.
  struct Shared {
    alignas(16) float g[2][images][step + 4], b[2][modes][step + 4];
  };
  float* out;
  float const *g, *b;
  std::int64_t image_count, mode_count, columns;

  template <int Count>
  RIG_DEVICE static void fetch(float (&to)[Count][step + 4], float const* from, std::int64_t first, std::int64_t rows, std::int64_t columns,
                               std::int64_t begin) {
    for (int e = gpu::thread(); e < Count * step; e += threads) {
      int const r = e / step, j = e % step;
      bool const there = first + r < rows && begin + j < columns;
      gpu::copy_async<4>(&to[r][j], there ? from + (first + r) * columns + begin + j : from, there);
    }
  }
  RIG_DEVICE void operator()(Shared& shared) const {
    std::int64_t const begin = std::int64_t(gpu::block().x) * span, mode0 = std::int64_t(gpu::block().y) * modes,
                       image0 = std::int64_t(gpu::block().z) * images;
    int const steps = int(((columns - begin < span ? columns - begin : span) + step - 1) / step);
    int const tm = gpu::thread() % 16, ti = gpu::thread() / 16;
    float s[Rows][4] = {};
    auto prepare = [&](int k) {
      if (k < steps) {
        fetch(shared.g[k & 1], g, image0, image_count, columns, begin + k * step);
        fetch(shared.b[k & 1], b, mode0, mode_count, columns, begin + k * step);
      }
      gpu::copy_commit();
    };
    prepare(0);
    for (int k = 0; k < steps; ++k) {
      prepare(k + 1);
      gpu::copy_wait<1>();
      gpu::barrier();
      for (int j = 0; j < step; j += 4) {
        gpu::Float4 v[4];
        for (int m = 0; m < 4; ++m) v[m] = gpu::load4(&shared.b[k & 1][tm + 16 * m][j]);
        for (int r = 0; r < Rows; ++r) {
          gpu::Float4 const u = gpu::load4(&shared.g[k & 1][ti + 8 * r][j]);
          for (int m = 0; m < 4; ++m)
            s[r][m] = mul_add(u.w, v[m].w, mul_add(u.z, v[m].z, mul_add(u.y, v[m].y, mul_add(u.x, v[m].x, s[r][m]))));
        }
      }
      gpu::barrier();
    }
    for (int r = 0; r < Rows; ++r)
      for (int m = 0; m < 4; ++m) {
        std::int64_t const image = image0 + ti + 8 * r, mode = mode0 + tm + 16 * m;
        if (image < image_count && mode < mode_count) out[(gpu::block().x * image_count + image) * mode_count + mode] = s[r][m];
      }
  }
};
inline Tensor<float> inner_on_device(Tensor<float> const& g, Tensor<float> const& b, std::int64_t images, std::int64_t modes,
                                     std::int64_t columns) {
  std::int64_t const blocks = (columns + InnerTile<1>::span - 1) / InnerTile<1>::span;
  Tensor<float> partial({blocks, images, modes}, g.device()), y({images, modes}, g.device());
  auto run = [&](auto tile) {
    using Tile = decltype(tile);
    tile = {partial.mutate(), g.data(), b.data(), images, modes, columns};
    launch(g.device(), {int(blocks), int((modes + Tile::modes - 1) / Tile::modes), int((images + Tile::images - 1) / Tile::images)}, tile);
  };
  if (images <= 8)
    run(InnerTile<1>{});
  else if (images <= 16)
    run(InnerTile<2>{});
  else if (images <= 32)
    run(InnerTile<4>{});
  else
    run(InnerTile<8>{});
  add_partial_sums(g.device(), y.mutate(), partial.data(), 1, blocks, images * modes);
  return y;
}

}  // namespace rig::inline RIG_ABI::render::detail
#endif
