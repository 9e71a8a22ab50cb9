# What find_package(rig) finds: headers, the compiled library and rigConfig.cmake.
include(CMakePackageConfigHelpers)
set(rig_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/rig")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/rig" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(TARGETS rig rig_compiled EXPORT rigTargets)
install(EXPORT rigTargets NAMESPACE rig:: DESTINATION "${rig_cmake_dir}")

set(rig_find_dependencies "")
foreach(package IN LISTS rig_packages)
  string(APPEND rig_find_dependencies "find_dependency(${package})\n")
endforeach()
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/rigConfig.cmake.in" "${PROJECT_BINARY_DIR}/rigConfig.cmake"
  INSTALL_DESTINATION "${rig_cmake_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/rigConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/rigConfig.cmake" "${PROJECT_BINARY_DIR}/rigConfigVersion.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/FindHDF5C.cmake" "${CMAKE_CURRENT_LIST_DIR}/FindOneDNN.cmake"
  DESTINATION "${rig_cmake_dir}")
