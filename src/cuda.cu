// The same headers and ops under nvcc: shows that every kernel is CUDA as well as C++.
#include "rig/rig.hpp"

#include "lists/op_list.ipp"
