# The two targets that a user links, and what they need. Eigen is required; the rest is used when it is found, and
# each has a definition RIG_HAS_... that says so.
include(GNUInstallDirs)
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)  # a project that adds rig as a subdirectory must see the same targets

find_package(Eigen3 3.4 REQUIRED NO_MODULE)
set(rig_packages "Eigen3")

add_library(rig INTERFACE)
add_library(rig::rig ALIAS rig)
target_compile_features(rig INTERFACE cxx_std_20)
target_include_directories(rig INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(rig INTERFACE Eigen3::Eigen)

# rig_use(package target definition): links an optional dependency and defines definition=1, or 0 where it is missing.
macro(rig_use package target definition)
  find_package(${package} QUIET ${ARGN})
  if(TARGET ${target})
    target_link_libraries(rig INTERFACE ${target})
    target_compile_definitions(rig INTERFACE ${definition}=1)
    list(APPEND rig_packages ${package})
    message(STATUS "rig: with ${package}")
  else()
    target_compile_definitions(rig INTERFACE ${definition}=0)
    message(STATUS "rig: without ${package}")
  endif()
endmacro()
rig_use(ZLIB ZLIB::ZLIB RIG_HAS_ZLIB)
rig_use(PNG PNG::PNG RIG_HAS_PNG)
rig_use(JPEG JPEG::JPEG RIG_HAS_JPEG)
rig_use(HDF5C HDF5C::HDF5C RIG_HAS_HDF5)
if(RIG_DNNL)
  rig_use(OneDNN OneDNN::OneDNN RIG_HAS_DNNL)
endif()
if(RIG_OPENMP)
  find_package(OpenMP QUIET COMPONENTS CXX)
  if(TARGET OpenMP::OpenMP_CXX)
    target_link_libraries(rig INTERFACE OpenMP::OpenMP_CXX)
    list(APPEND rig_packages OpenMP)
    message(STATUS "rig: with OpenMP")
  endif()
endif()

file(GLOB rig_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/*.cpp")
add_library(rig_compiled STATIC ${rig_sources})
add_library(rig::compiled ALIAS rig_compiled)
set_target_properties(rig_compiled PROPERTIES EXPORT_NAME compiled OUTPUT_NAME rig POSITION_INDEPENDENT_CODE ON)
target_link_libraries(rig_compiled PUBLIC rig PRIVATE $<BUILD_INTERFACE:rig_flags>)
target_compile_definitions(rig_compiled PUBLIC RIG_COMPILED)
if(RIG_SANITIZE OR (NOT PROJECT_IS_TOP_LEVEL AND NOT RIG_INSTALL))  # sanitized programs are header-only
  set_target_properties(rig_compiled PROPERTIES EXCLUDE_FROM_ALL ON)
endif()
