// Convolution and transposed convolution through oneDNN (C interface, version 2): strips of rows or groups of images, each
// one single-threaded primitive, so that oneDNN never chooses a partition by the number of threads.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "rig/backend/gemm.ipp"
#if DNNL_VERSION_MAJOR != 2
#error "rig uses oneDNN version 2; with another one build with RIG_HAS_DNNL=0, which uses Eigen"
#endif

namespace rig::inline RIG_ABI::detail {

enum class DnnlConvKind : std::int64_t { forward, input };

inline void dnnl_ok(dnnl_status_t status, char const* what) {
  check(status == dnnl_success, "oneDNN: ", what, " failed with status ", int(status));
}

inline dnnl_engine_t dnnl_cpu_engine() {
  static dnnl_engine_t const engine = [] {
    dnnl_engine_t e = nullptr;
    dnnl_ok(dnnl_engine_create(&e, dnnl_cpu, 0), "engine");
    return e;
  }();
  return engine;
}

/// One primitive and what its arguments look like. A null primitive: oneDNN has nothing fast for this size.
struct DnnlPrimitive {
  dnnl_primitive_t primitive = nullptr;
  dnnl_memory_desc_t x, y, weight, scratch;
  DnnlPrimitive() = default;
  DnnlPrimitive(DnnlPrimitive const&) = delete;
  DnnlPrimitive& operator=(DnnlPrimitive const&) = delete;
  ~DnnlPrimitive() {
    if (primitive) dnnl_primitive_destroy(primitive);
  }
};

/// n images; x rows [.., h), y rows [.., oh); padding on all four sides.
using DnnlConvKey = std::array<std::int64_t, 15>;

inline std::unique_ptr<DnnlPrimitive> make_dnnl_conv(DnnlConvKey const& k) {
  OneThread const one;
  auto const [kind, n, h, w, c, oh, ow, o, kh, kw, stride, top, left, bottom, right] = k;
  auto made = std::make_unique<DnnlPrimitive>();
  dnnl_dims_t const xd{n, c, h, w}, yd{n, o, oh, ow}, wd{o, c, kh, kw}, strides{stride, stride}, low{top, left}, high{bottom, right};
  dnnl_memory_desc_t any;
  dnnl_ok(dnnl_memory_desc_init_by_tag(&made->x, 4, xd, dnnl_f32, dnnl_nhwc), "memory");
  dnnl_ok(dnnl_memory_desc_init_by_tag(&made->y, 4, yd, dnnl_f32, dnnl_nhwc), "memory");
  dnnl_ok(dnnl_memory_desc_init_by_tag(&any, 4, wd, dnnl_f32, dnnl_format_tag_any), "memory");
  dnnl_convolution_desc_t d;
  dnnl_primitive_attr_t attr = nullptr;
  dnnl_ok(dnnl_primitive_attr_create(&attr), "attributes");
  dnnl_ok(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user), "attributes");
  bool const forward = DnnlConvKind(kind) == DnnlConvKind::forward;
  dnnl_primitive_desc_t pd = nullptr, hint = nullptr;
  bool ok = dnnl_convolution_forward_desc_init(&d, forward ? dnnl_forward_inference : dnnl_forward_training, dnnl_convolution_direct,
                                               &made->x, &any, nullptr, &made->y, strides, low, high) == dnnl_success &&
            dnnl_primitive_desc_create(&pd, &d, attr, dnnl_cpu_engine(), nullptr) == dnnl_success;
  if (ok && !forward) {
    hint = pd;
    pd = nullptr;
    ok = dnnl_convolution_backward_data_desc_init(&d, dnnl_convolution_direct, &made->x, &any, &made->y, strides, low, high) ==
             dnnl_success &&
         dnnl_primitive_desc_create(&pd, &d, attr, dnnl_cpu_engine(), hint) == dnnl_success;
  }
  if (ok) {
    char const* name = "";
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
    ok = std::string_view(name).find("ref") == std::string_view::npos && std::string_view(name).find("gemm") == std::string_view::npos;
  }
  if (ok) {
    made->weight = *dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    made->scratch = *dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    dnnl_ok(dnnl_primitive_create(&made->primitive, pd), "convolution");
  }
  if (hint) dnnl_primitive_desc_destroy(hint);
  if (pd) dnnl_primitive_desc_destroy(pd);
  dnnl_primitive_attr_destroy(attr);
  return made;
}

/// Primitives by their sizes: making one compiles machine code, which takes longer than many a convolution.
/// They hold no state between calls, so one table serves every caller; it is not bounded by more than the sizes in use.
inline DnnlPrimitive const& dnnl_conv_primitive(DnnlConvKey const& key) {
  static std::mutex mutex;
  static std::map<DnnlConvKey, std::unique_ptr<DnnlPrimitive>> table;
  std::lock_guard lock(mutex);
  auto& entry = table[key];
  if (!entry) entry = make_dnnl_conv(key);
  return *entry;
}

struct DnnlArgument {
  int index;
  dnnl_memory_desc_t const* desc;
  void const* data;
};
/// Runs on the calling thread, or on all if it allows more than one. Returns oneDNN's status.
inline dnnl_status_t dnnl_run(dnnl_primitive_t primitive, std::initializer_list<DnnlArgument> arguments) {
  std::array<dnnl_exec_arg_t, 4> list{};
  int count = 0;
  dnnl_stream_t stream = nullptr;
  dnnl_status_t status = dnnl_stream_create(&stream, dnnl_cpu_engine(), dnnl_stream_default_flags);
  for (auto const& a : arguments) {
    if (status != dnnl_success) break;
    list[std::size_t(count)].arg = a.index;
    status = dnnl_memory_create(&list[std::size_t(count)].memory, a.desc, dnnl_cpu_engine(), const_cast<void*>(a.data));
    if (status == dnnl_success) ++count;
  }
  if (status == dnnl_success) status = dnnl_primitive_execute(primitive, stream, count, list.data());
  if (status == dnnl_success) status = dnnl_stream_wait(stream);
  for (int i = 0; i < count; ++i) dnnl_memory_destroy(list[std::size_t(i)].memory);
  if (stream) dnnl_stream_destroy(stream);
  return status;
}

/// The weight [o, kh, kw, c] in a primitive's own order. A copy only, so it may use all threads.
inline void dnnl_order_weight(dnnl_memory_desc_t const& to_desc, float const* weight, float* to) {
  dnnl_memory_desc_t from;
  dnnl_ok(dnnl_memory_desc_init_by_tag(&from, 4, to_desc.dims, dnnl_f32, dnnl_ohwi), "memory");
  dnnl_primitive_attr_t attr = nullptr;
  dnnl_primitive_desc_t pd = nullptr;
  dnnl_primitive_t reorder = nullptr;
  dnnl_ok(dnnl_primitive_attr_create(&attr), "attributes");
  dnnl_ok(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user), "attributes");
  dnnl_ok(dnnl_reorder_primitive_desc_create(&pd, &from, dnnl_cpu_engine(), &to_desc, dnnl_cpu_engine(), attr), "reorder");
  auto const* pad = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
  Scratch<char> scratch(std::int64_t(dnnl_memory_desc_get_size(pad)));
  dnnl_ok(dnnl_primitive_create(&reorder, pd), "reorder");
  dnnl_status_t const status =
      dnnl_run(reorder, {{DNNL_ARG_FROM, &from, weight}, {DNNL_ARG_TO, &to_desc, to}, {DNNL_ARG_SCRATCHPAD, pad, scratch.data()}});
  dnnl_primitive_destroy(reorder);
  dnnl_primitive_desc_destroy(pd);
  dnnl_primitive_attr_destroy(attr);
  dnnl_ok(status, "reorder");
}

/// One call of a primitive: which images and rows it reads and writes.
struct DnnlTile {
  DnnlPrimitive const* primitive;
  std::int64_t from, to;  // offsets of its first elements
  float const* weight;
};

/// Whether these sizes are for oneDNN: neither so small that its own order of the weight costs more than it saves, nor
/// with crops or windows that it does not know.
template <class Size> bool dnnl_conv_serves(Size const& s) {
  // Padding on the far side that makes the sizes meet; less than nothing where a stride leaves a rest.
  std::int64_t const bottom = (s.oh - 1) * s.stride + s.kh - s.top - s.h, right = (s.ow - 1) * s.stride + s.kw - s.left - s.w;
  if (s.groups != 1 || s.c < 8 || s.o < 8 || s.n * s.oh * s.ow < 16 || s.kh < s.stride || s.kw < s.stride) return false;
  return s.top >= 0 && s.left >= 0 && s.top < s.kh && s.left < s.kw && bottom < s.kh && right < s.kw && bottom > -s.stride &&
         right > -s.stride;
}

/// forward: from x to y; input: from y to x. False if the sizes are better served otherwise; then nothing was written.
template <class Size> bool dnnl_conv(DnnlConvKind kind, Size const& s, float const* from, float const* weight, float* to) {
  bool const forward = kind == DnnlConvKind::forward;
  if (!dnnl_conv_serves(s)) return false;
  // Up to 16 tiles if each is worth a thread and has pixels enough to be worth reading the weight: groups of images, or
  // strips of the rows of one.
  std::int64_t const pixels = s.n * s.oh * s.ow, flops = 2 * pixels * s.o * s.c * s.kh * s.kw, rows = forward ? s.oh : s.h;
  std::int64_t const wanted = std::clamp<std::int64_t>(std::min(flops / 20'000'000, pixels / 64), 1, 16);
  std::int64_t const images = std::max<std::int64_t>(1, s.n / wanted), strips = std::clamp<std::int64_t>(wanted / s.n, 1, rows);
  std::int64_t const right = (s.ow - 1) * s.stride + s.kw - s.left - s.w;
  std::int64_t strip = (rows + strips - 1) / strips;
  if (!forward) strip = (strip + s.stride - 1) / s.stride * s.stride;

  std::vector<DnnlTile> tiles;
  std::vector<std::pair<dnnl_memory_desc_t const*, std::unique_ptr<Scratch<float>>>> weights;
  for (std::int64_t n = 0; n < s.n; n += images)
    for (std::int64_t first = 0; first < rows; first += strip) {
      std::int64_t const count = std::min(strip, rows - first), batch = std::min(images, s.n - n);
      std::int64_t x0, xs, y0, ys, top;  // rows of x and y and the padding above
      if (forward) {
        std::int64_t const low = first * s.stride - s.top, high = (first + count - 1) * s.stride - s.top + s.kh;
        y0 = first, ys = count, x0 = std::max<std::int64_t>(low, 0), xs = std::min(high, s.h) - x0, top = x0 - low;
      } else {
        std::int64_t const low = first + s.top - s.kh + 1;  // the first row of y whose window reaches row `first`
        y0 = low <= 0 ? 0 : (low + s.stride - 1) / s.stride;
        ys = std::min((first + count - 1 + s.top) / s.stride, s.oh - 1) - y0 + 1;
        x0 = first, xs = count, top = first + s.top - y0 * s.stride;
      }
      if (xs <= 0 || ys <= 0) return false;
      std::int64_t const below = (ys - 1) * s.stride + s.kh - top - xs;
      auto const& p =
          dnnl_conv_primitive({std::int64_t(kind), batch, xs, s.w, s.c, ys, s.ow, s.o, s.kh, s.kw, s.stride, top, s.left, below, right});
      if (!p.primitive) return false;
      float* ordered = nullptr;
      for (auto const& [desc, memory] : weights)
        if (dnnl_memory_desc_equal(desc, &p.weight)) ordered = memory->data();
      if (!ordered) {
        weights.emplace_back(&p.weight,
                             std::make_unique<Scratch<float>>(std::int64_t(dnnl_memory_desc_get_size(&p.weight) / sizeof(float))));
        ordered = weights.back().second->data();
        dnnl_order_weight(p.weight, weight, ordered);
      }
      std::int64_t const at_x = (n * s.h + x0) * s.w * s.c, at_y = (n * s.oh + y0) * s.ow * s.o;
      tiles.push_back({&p, forward ? at_x : at_y, forward ? at_y : at_x, ordered});
    }

  std::atomic<int> status{int(dnnl_success)};
  parallel_tiles(std::int64_t(tiles.size()), [&](std::int64_t i) {
    DnnlTile const& t = tiles[std::size_t(i)];
    DnnlPrimitive const& p = *t.primitive;
    Scratch<char> scratch(std::int64_t(dnnl_memory_desc_get_size(&p.scratch)));
    dnnl_status_t const ran = dnnl_run(p.primitive, {{forward ? DNNL_ARG_SRC : DNNL_ARG_DIFF_DST, forward ? &p.x : &p.y, from + t.from},
                                                     {DNNL_ARG_WEIGHTS, &p.weight, t.weight},
                                                     {forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_SRC, forward ? &p.y : &p.x, to + t.to},
                                                     {DNNL_ARG_SCRATCHPAD, &p.scratch, scratch.data()}});
    if (ran != dnnl_success) status = int(ran);
  });
  dnnl_ok(dnnl_status_t(status.load()), "convolution");
  return true;
}

}  // namespace rig::inline RIG_ABI::detail
