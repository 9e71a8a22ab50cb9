# The compiled library, the program, the benchmarks and the device's tests as CUDA. CMake compiles a source in one language a
# folder, so .cu files in the build folder include them.

# rig_cuda_sources(variable name batch sources...): a .cu file for every `batch` sources. Long includes are then read less often.
function(rig_cuda_sources variable name batch)
  set(list "")
  set(number 0)
  list(LENGTH ARGN count)
  while(number LESS count)
    list(SUBLIST ARGN ${number} ${batch} part)
    set(text "")
    foreach(source IN LISTS part)
      cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" NORMALIZE)
      string(APPEND text "#include \"${source}\"\n")
    endforeach()
    list(GET part 0 first)
    cmake_path(GET first STEM stem)
    set(file "${PROJECT_BINARY_DIR}/cuda/${name}/${stem}.cu")
    file(CONFIGURE OUTPUT "${file}" CONTENT "${text}" @ONLY)
    list(APPEND list "${file}")
    math(EXPR number "${number} + ${batch}")
  endwhile()
  set(${variable} "${list}" PARENT_SCOPE)
endfunction()

# rig_cuda_program(name batch sources...): an executable of ours, with every kernel for a GPU.
function(rig_cuda_program name batch)
  rig_cuda_sources(files ${name} ${batch} ${ARGN})
  add_executable(${name} ${files})
  target_link_libraries(${name} PRIVATE rig_cuda)
endfunction()

file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/*.cpp")
rig_cuda_sources(files rig_cuda 1 ${sources})
add_library(rig_cuda STATIC ${files})
target_link_libraries(rig_cuda PUBLIC rig_cuda_flags)
target_include_directories(rig_cuda PRIVATE "${PROJECT_SOURCE_DIR}/src")
target_compile_definitions(rig_cuda PUBLIC RIG_COMPILED)
