# CUDA objects. CMake 3.25 does not know that nvcc 13 has C++20, so the standard is given as a plain option.
set(CMAKE_CUDA_ARCHITECTURES ${RIG_CUDA_ARCHITECTURES})
if(RIG_CUDA_WARPGROUPS AND NOT "90a" IN_LIST RIG_CUDA_ARCHITECTURES)
  message(FATAL_ERROR "RIG_CUDA_WARPGROUPS needs 90a among RIG_CUDA_ARCHITECTURES, which are ${RIG_CUDA_ARCHITECTURES}")
endif()
if(NOT CMAKE_CUDA_COMPILER)
  find_program(RIG_NVCC nvcc HINTS ENV CUDA_HOME PATHS /usr/local/cuda/bin)
  if(RIG_NVCC)
    set(CMAKE_CUDA_COMPILER "${RIG_NVCC}")
  endif()
endif()
set(CMAKE_CUDA_EXTENSIONS ON)  # off would make CMake add a -std of its own
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
# What ptxas says of every kernel is kept beside the objects, for bench/compile_resources.
if(NOT CMAKE_CUDA_COMPILER_LAUNCHER)
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${PROJECT_SOURCE_DIR}/cmake/keep_ptxas")
  if(RIG_CCACHE)
    list(APPEND CMAKE_CUDA_COMPILER_LAUNCHER "${PROJECT_SOURCE_DIR}/cmake/cached")
  endif()
endif()

# rig_cuda_flags: what a .cu file of ours is compiled with. rig::rig itself asks for cxx_std_20, which CMake would
# refuse for CUDA, so its include folders and definitions are taken one by one.
add_library(rig_cuda_flags INTERFACE)
target_compile_options(rig_cuda_flags INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20 -Xptxas=-v -Xcompiler=-Wall,-Wextra,-ffp-contract=off>)
target_include_directories(rig_cuda_flags INTERFACE "${PROJECT_SOURCE_DIR}/include")
get_target_property(rig_eigen_include Eigen3::Eigen INTERFACE_INCLUDE_DIRECTORIES)  # its target asks for a standard, too
target_include_directories(rig_cuda_flags SYSTEM INTERFACE ${rig_eigen_include})
target_link_libraries(rig_cuda_flags INTERFACE CUDA::cudart CUDA::cublas)
# Under nvcc rig uses its own kernels and CUDA's libraries, so oneDNN is left out.
# Eigen serves the host only: with its own device support nvcc would warn about its complex numbers.
target_compile_definitions(rig_cuda_flags INTERFACE RIG_HAS_DNNL=0 EIGEN_NO_CUDA $<$<BOOL:${RIG_CUDA_WARPGROUPS}>:RIG_CUDA_WARPGROUPS>)
foreach(package IN ITEMS ZLIB PNG JPEG HDF5)
  set(target ${package}::${package})
  if(package STREQUAL "HDF5")
    set(target HDF5C::HDF5C)
  endif()
  if(TARGET ${target})
    target_link_libraries(rig_cuda_flags INTERFACE ${target})
    target_compile_definitions(rig_cuda_flags INTERFACE RIG_HAS_${package}=1)
  else()
    target_compile_definitions(rig_cuda_flags INTERFACE RIG_HAS_${package}=0)
  endif()
endforeach()
if(TARGET OpenMP::OpenMP_CXX)
  target_compile_options(rig_cuda_flags INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-fopenmp>)
  target_link_libraries(rig_cuda_flags INTERFACE OpenMP::OpenMP_CXX)
endif()

# Every public header and every op, compiled by nvcc for each architecture.
file(GLOB rig_cuda_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/*.cu")
add_library(rig_cuda_headers OBJECT ${rig_cuda_sources})
target_link_libraries(rig_cuda_headers PRIVATE rig_cuda_flags)
