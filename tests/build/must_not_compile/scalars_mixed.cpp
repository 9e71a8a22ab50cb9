// expect: conversion from
// float and double never mix silently.
#include "rig/core/tensor.hpp"

rig::Tensor<double> f(rig::Tensor<float> const& x) {
#if defined(WRONG)
  rig::Tensor<double> y = x;
#else
  rig::Tensor<double> y = rig::cast<double>(x);
#endif
  return y;
}
