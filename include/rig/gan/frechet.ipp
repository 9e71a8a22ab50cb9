#pragma once
#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <cmath>

#include "rig/core/launch.hpp"
#include "rig/gan/frechet.hpp"

namespace rig::inline RIG_ABI::gan {

namespace detail {
using RowMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

inline Eigen::Map<RowMatrix const> matrix_of(Tensor<double> const& t) { return {t.data(), t.dim(0), t.rank() == 2 ? t.dim(1) : 1}; }

/// Runs f, which must not throw, on one thread. By itself Eigen divides a product in ways that depend on the number of threads;
/// within a parallel region it does not.
template <class F> void on_one_thread(F const& f) {
  struct First {
    F const* f;
    void operator()(std::int64_t i) const {
      if (i == 0) (*f)();
    }
  };
  for_each_on_cpu(2, First{&f});
}

inline Eigen::SelfAdjointEigenSolver<RowMatrix> eigen_of(RowMatrix const& m, bool vectors) {
  Eigen::SelfAdjointEigenSolver<RowMatrix> s(m.rows());
  on_one_thread([&] { s.compute(m, vectors ? Eigen::ComputeEigenvectors : Eigen::EigenvaluesOnly); });
  check(s.info() == Eigen::Success, "frechet_distance: the eigenvalues of a covariance were not found");
  return s;
}
}  // namespace detail

RIG_INLINE void FeatureStatistics::add(Tensor<float> const& features) {
  check(features.rank() == 2 && features.dim(0) > 0 && features.dim(1) > 0 && (count_ == 0 || features.dim(1) == dimensions()),
        "FeatureStatistics: expected features [n, ", count_ ? str(dimensions()) : std::string("d"), "], got ", features.shape());
  std::int64_t const n = features.dim(0), d = features.dim(1);
  Tensor<double> const x = cast<double>(features.to(cpu()));
  for (std::int64_t i = 0; i < x.size(); ++i)
    check(std::isfinite(x.data()[i]), "FeatureStatistics: feature ", i % d, " of vector ", count_ + i / d, " is not finite");
  detail::RowMatrix values = detail::matrix_of(x);
  Eigen::RowVectorXd const mean = values.colwise().mean();
  values.rowwise() -= mean;
  if (count_ == 0) mean_ = zeros<double>({d}), scatter_ = zeros<double>({d, d});
  // Two sets joined: the scatter about the common mean is that about each one's own, and what the means are apart.
  Eigen::Map<Eigen::RowVectorXd> all(mean_.mutate(), d);
  Eigen::Map<detail::RowMatrix> scatter(scatter_.mutate(), d, d);
  Eigen::RowVectorXd const apart = mean - all;
  double const before = double(count_), now = double(n);
  detail::on_one_thread(
      [&] { scatter.noalias() += values.transpose() * values + before * now / (before + now) * apart.transpose() * apart; });
  all += now / (before + now) * apart;
  count_ += n;
}

RIG_INLINE Tensor<double> FeatureStatistics::mean() const {
  check(count_ > 0, "FeatureStatistics: no features were added");
  return mean_.clone();
}
RIG_INLINE Tensor<double> FeatureStatistics::covariance() const {
  check(count_ > 1, "FeatureStatistics: a covariance needs at least 2 features, got ", count_);
  Tensor<double> c = scatter_.clone();
  double* p = c.mutate();
  for (std::int64_t i = 0; i < c.size(); ++i) p[i] /= double(count_ - 1);
  return c;
}

RIG_INLINE double frechet_distance(Tensor<double> const& mean1, Tensor<double> const& covariance1, Tensor<double> const& mean2,
                                   Tensor<double> const& covariance2) {
  check(mean1.rank() == 1 && mean1.size() > 0, "frechet_distance: a mean must be [d], got ", mean1.shape());
  std::int64_t const d = mean1.dim(0);
  Shape const square{d, d};
  check(mean2.shape() == mean1.shape() && covariance1.shape() == square && covariance2.shape() == square,
        "frechet_distance: expected means [", d, "] and covariances ", square, ", got ", mean2.shape(), ", ", covariance1.shape(), " and ",
        covariance2.shape());
  auto const on_host = [](Tensor<double> const& t) {
    Tensor<double> const h = t.to(cpu());
    for (std::int64_t i = 0; i < h.size(); ++i) check(std::isfinite(h.data()[i]), "frechet_distance: a mean or covariance is not finite");
    return h;
  };
  Tensor<double> const m1 = on_host(mean1), m2 = on_host(mean2), c1 = on_host(covariance1), c2 = on_host(covariance2);
  auto const one = detail::matrix_of(c1), two = detail::matrix_of(c2);
  // (C1 C2)^(1/2) has the eigenvalues of (S C2 S)^(1/2) with S = C1^(1/2), which is symmetric. What rounding makes negative is 0.
  auto const first = detail::eigen_of(one, true);
  auto const root = [](double v) { return v > 0 ? std::sqrt(v) : 0.0; };
  Eigen::VectorXd const roots = first.eigenvalues().unaryExpr(root);
  detail::RowMatrix product;
  detail::on_one_thread([&] {
    detail::RowMatrix const s = first.eigenvectors() * roots.asDiagonal() * first.eigenvectors().transpose();
    product = s * two * s;
  });
  double const shared = detail::eigen_of((product + product.transpose()) / 2, false).eigenvalues().unaryExpr(root).sum();
  double const apart = (detail::matrix_of(m1) - detail::matrix_of(m2)).squaredNorm();
  return std::max(0.0, apart + one.trace() + two.trace() - 2 * shared);
}
RIG_INLINE double frechet_distance(FeatureStatistics const& a, FeatureStatistics const& b) {
  return frechet_distance(a.mean(), a.covariance(), b.mean(), b.covariance());
}

}  // namespace rig::inline RIG_ABI::gan
