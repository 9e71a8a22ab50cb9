// The rows of products, convolutions and what discriminators, the first and the third StyleGAN add, compiled apart from the
// others. Run by cases_test.cpp.
#include "cases/convolution.hpp"

#include "cases/alias_free.hpp"
#include "cases/discriminator.hpp"
#include "cases/linear_algebra.hpp"
#include "cases/progressive.hpp"

cases::Table convolution_rows() {
  cases::Table t;
  cases::add_linear_algebra(t);
  cases::add_convolution(t);
  cases::add_alias_free(t);
  cases::add_discriminator(t);
  cases::add_progressive(t);
  return t;
}
