#pragma once
#include <cstdlib>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace ltu {

// Gives freed memory back to the system, which the C library would rather keep.
inline void trim_heap() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

} // namespace ltu
