# How rig's own programs are compiled. Nothing here reaches a project that uses rig.
if(PROJECT_IS_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
  endif()
  find_program(RIG_CCACHE ccache)
  if(RIG_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${PROJECT_SOURCE_DIR}/cmake/cached")
  endif()
  set(CMAKE_CXX_EXTENSIONS OFF)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")
endif()

# -fno-math-errno and -fno-trapping-math let loops vectorise and change no value; -ffp-contract=off keeps a*b+c
# rounded the same by every compiler and vector width.
add_library(rig_flags INTERFACE)
target_compile_options(rig_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -fno-math-errno -fno-trapping-math -ffp-contract=off>)
# g++ 12 takes the undefined registers of its own AVX-512 intrinsics, as Eigen uses them, for uninitialised variables,
# and invents overlapping copies in std::string's operator+ (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(rig_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized;-Wno-restrict>)
endif()
if(RIG_NATIVE)
  target_compile_options(rig_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-march=native>)
endif()
if(RIG_SANITIZE)
  set(rig_sanitizers -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_compile_options(rig_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${rig_sanitizers}>)
  target_link_options(rig_flags INTERFACE ${rig_sanitizers})
endif()

# rig_program(name sources...): an executable of ours, linked to the compiled library; sanitized ones are header-only, since
# few of them are built.
function(rig_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE $<IF:$<BOOL:${RIG_SANITIZE}>,rig::rig,rig::compiled> rig_flags)
endfunction()
