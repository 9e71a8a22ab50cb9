// The rows of products, convolutions and what discriminators add, compiled apart from the others. Run by cases_test.cpp.
#include "cases/convolution.hpp"

#include "cases/discriminator.hpp"
#include "cases/linear_algebra.hpp"

cases::Table convolution_rows() {
  cases::Table t;
  cases::add_linear_algebra(t);
  cases::add_convolution(t);
  cases::add_discriminator(t);
  return t;
}
