// The rows of the renderer and of the rig, compiled apart from the others. Run by cases_test.cpp.
#include "cases/render.hpp"

#include "cases/rigging.hpp"

cases::Table render_rows() {
  cases::Table t;
  cases::add_render(t);
  cases::add_rigging(t);
  return t;
}
