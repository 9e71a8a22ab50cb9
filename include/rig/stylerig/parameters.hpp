// The control vector p of a face: named components at known places, sizes known at run time, because every face model has
// its own. Controls (pose, expression, illumination) are sets of components; `replace` moves components between two
// vectors exactly, which is the whole of StyleRig's supervision (section 3 of the paper).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rig/autodiff/op.hpp"
#include "rig/ops/arithmetic.hpp"
#include "rig/render/morphable_model.hpp"

namespace rig::inline RIG_ABI::stylerig {

/// Entries [offset, offset + size) of p. The names rig itself knows are identity, reflectance, expression, illumination,
/// rotation and translation; any other component is carried along and kept by every edit.
struct Component {
  std::string name;
  std::int64_t offset = 0, size = 0;
  std::vector<std::string> entries;  ///< names of its entries; numbers where nobody gave any

  /// "standard deviations", "coefficients", "radians", ...: what one unit is.
  std::string unit() const;
};

class ParameterLayout {
 public:
  ParameterLayout() = default;
  /// Components in order, with their sizes; size 0 is allowed.
  explicit ParameterLayout(std::vector<std::pair<std::string, std::int64_t>> const& parts);
  /// identity, reflectance, expression, illumination (27), rotation (3), translation (3): 257 by default, as in the paper.
  static ParameterLayout standard(std::int64_t identity = 80, std::int64_t reflectance = 80, std::int64_t expression = 64);
  /// The same order with the sizes and expression names of a face model.
  static ParameterLayout of(render::MorphableModel const& model);

  std::int64_t size() const { return size_; }
  std::vector<Component> const& components() const { return components_; }
  /// Null if there is none of that name.
  Component const* find(std::string_view name) const;
  /// An unknown name is an Error that lists the known ones.
  Component const& at(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) && find(name)->size > 0; }
  void name_entries(std::string_view component, std::vector<std::string> names);

  /// "rotation.yaw", "expression.jawOpen", "identity.3".
  std::string label(std::int64_t entry) const;
  /// The entry with that label; "identity.3" works for named entries too.
  std::int64_t entry(std::string_view label) const;

  /// One line that from_text() reads back: "identity:80,expression:2(jawOpen|smile),...".
  std::string text() const;
  static ParameterLayout from_text(std::string_view text);
  /// Of names, sizes and order.
  std::uint64_t hash() const;
  friend bool operator==(ParameterLayout const& a, ParameterLayout const& b) { return a.text() == b.text(); }

 private:
  std::vector<Component> components_;
  std::int64_t size_ = 0;
};

// ---- other tools' orders ------------------------------------------------------------------------------------------
/// Deep3D-style vectors [n, f]: identity, expression, texture, angles, illumination, translation.
Tensor<float> from_deep3d(ParameterLayout const& layout, Tensor<float> const& p);
Tensor<float> to_deep3d(ParameterLayout const& layout, Tensor<float> const& p);

/// Who uses which Greek letter. PIE calls expression beta and reflectance delta, the reverse of StyleRig.
enum class GreekNaming { stylerig, pie };
/// Blocks by letter ("alpha", "beta", "delta", "gamma", "R", "t" for StyleRig; "phi", "rho" for the last two in PIE) to and
/// from vectors [n, f]. A missing or unknown letter or a block of the wrong size is an Error.
Tensor<float> from_greek(ParameterLayout const& layout, GreekNaming naming, std::map<std::string, Tensor<float>> const& blocks);
std::map<std::string, Tensor<float>> to_greek(ParameterLayout const& layout, GreekNaming naming, Tensor<float> const& p);

// ---- controls -----------------------------------------------------------------------------------------------------
/// A set of the three things a rig controls.
enum class Control : unsigned { none = 0, pose = 1, expression = 2, illumination = 4, all = 7 };
constexpr Control operator|(Control a, Control b) { return Control(unsigned(a) | unsigned(b)); }
constexpr Control operator&(Control a, Control b) { return Control(unsigned(a) & unsigned(b)); }
constexpr bool contains(Control set, Control part) { return (set & part) == part; }
inline constexpr Control single_controls[3] = {Control::pose, Control::expression, Control::illumination};
/// "pose", "expression+illumination", "all", "none".
std::string to_string(Control c);
/// The same, with "light" for illumination and ',' or '+' between names.
Control control_from_name(std::string_view name);
/// The component of a single control.
char const* component_of(Control c);

/// [f] ones at the entries of c.
std::vector<unsigned char> control_mask(ParameterLayout const& layout, Control c);
/// [f] ones at the entries that an edit of c must leave as they are: everything but c, and for pose neither the
/// translation (unless keep_translation), because aligned pictures shift the head when it turns.
std::vector<unsigned char> kept_mask(ParameterLayout const& layout, Control c, bool keep_translation = false);
/// Rows of masks as a tensor [n, f].
Tensor<unsigned char> mask_rows(std::vector<std::vector<unsigned char>> const& rows, Device const& device = {});
inline Tensor<unsigned char> mask_row(std::vector<unsigned char> const& mask, Device const& device = {}) {
  return mask_rows({mask}, device);
}

namespace detail {
/// y = mask ? taken : kept; either may be null and is then zero.
template <class T> struct ReplaceKernel {
  T* y;
  T const *kept, *taken;
  unsigned char const* mask;
  std::int64_t f, mask_step;  // mask_step is 0 for one mask for all rows
  RIG_HD void operator()(std::int64_t r, std::int64_t c) const {
    T const* from = mask[r * mask_step + c] ? taken : kept;
    y[r * f + c] = from ? from[r * f + c] : T(0);
  }
};
}  // namespace detail

/// Linear; its rules are replacements by zero.
template <class T> struct Replace {
  using scalar = T;
  static constexpr char const* name = "replace";
  Tensor<unsigned char> mask;

  Tensor<T> forward(Tensor<T> const& kept, Tensor<T> const& taken) const {
    Tensor<T> const& some = kept ? kept : taken;
    check(some && some.rank() == 2, name, ": vectors must be [n, f], got ", some.shape());
    check(!kept || !taken || kept.shape() == taken.shape(), name, ": both vectors must have one shape, got ", kept.shape(), " and ",
          taken.shape());
    check(mask.rank() == 2 && mask.dim(1) == some.dim(1) && (mask.dim(0) == 1 || mask.dim(0) == some.dim(0)), name, ": mask must be [1, ",
          some.dim(1), "] or ", some.shape(), ", got ", mask.shape());
    check_device(name, "mask", mask, some.device());
    Tensor<T> y = like(some);
    for_each(y.device(), y.dim(0), y.dim(1),
             detail::ReplaceKernel<T>{y.mutate(), kept.data(), taken.data(), mask.data(), y.dim(1), mask.dim(0) == 1 ? 0 : y.dim(1)});
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T>, Var<T>) const { return apply(*this, gy, Var<T>{}); }
  Var<T> vjp(wrt<1>, Var<T> gy, Var<T>, Var<T>, Var<T>) const { return apply(*this, Var<T>{}, gy); }
};

/// `kept` with the entries where mask is not 0 taken from `taken`, bit for bit; all [n, f], mask [n, f] or [1, f].
/// Any order. The replacement of sections 3.3 and 3.4 of the paper.
template <class T> Var<T> replace(Var<T> const& kept, Var<T> const& taken, Tensor<unsigned char> const& mask) {
  return apply(Replace<T>{mask}, kept, taken);
}

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_INCLUDE_IPP
#include "rig/stylerig/parameters.ipp"
#endif
