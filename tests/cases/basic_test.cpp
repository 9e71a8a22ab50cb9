// The rows of element-wise ops, sums, shapes and activations, compiled apart from the others. Run by cases_test.cpp.
#include "cases/basic.hpp"

cases::Table basic_rows() {
  cases::Table t;
  cases::add_basic(t);
  return t;
}
