// What this build of rig is: with or without CUDA, header-only or compiled, with which CPU back end.
// The answers are baked into an inline namespace (RIG_ABI), so that objects built differently cannot be linked
// together by accident: the mistake becomes a link error that shows the name of the build.
#pragma once

#if defined(__CUDACC__)
#define RIG_CUDA 1
#define RIG_HD __host__ __device__
#else
#define RIG_CUDA 0
#define RIG_HD
#endif

// A third kind of build, for tests alone: g++ runs the text of CUDA kernels with threads of its own (tests/emulator).
// RIG_GPU: there is a device besides the CPU, real or emulated.
#if !defined(RIG_EMULATED)
#define RIG_EMULATED 0
#endif
#define RIG_GPU (RIG_CUDA || RIG_EMULATED)

// RIG_HAS_DNNL is set by the build when oneDNN is there; Eigen serves otherwise.
#if !defined(RIG_HAS_DNNL)
#define RIG_HAS_DNNL 0
#endif

#if RIG_CUDA
#define RIG_ABI cuda_build
#elif RIG_EMULATED
#define RIG_ABI emulated_build
#elif RIG_HAS_DNNL
#define RIG_ABI cpu_dnnl_build
#else
#define RIG_ABI cpu_build
#endif

// Three ways to build one text. Header-only: nothing is defined, every .ipp is included where it is needed.
// Compiled: users define RIG_COMPILED and link the files of src/, which hold every .ipp; src/ops.cpp defines RIG_SOURCE
// and instantiates the ops.
#if defined(RIG_COMPILED)
#define RIG_INLINE
#else
#define RIG_INLINE inline
#endif
#if !defined(RIG_COMPILED) || defined(RIG_SOURCE)
#define RIG_INCLUDE_IPP 1
#else
#define RIG_INCLUDE_IPP 0
#endif
#if defined(RIG_COMPILED) && !defined(RIG_SOURCE)
#define RIG_EXTERN_TEMPLATES 1
#else
#define RIG_EXTERN_TEMPLATES 0
#endif

#define RIG_VERSION_MAJOR 0
#define RIG_VERSION_MINOR 1
#define RIG_VERSION_PATCH 0
