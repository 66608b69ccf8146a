#define LTU_VARIANT avx512vnni
#include "kernels/simd_avx512.h"
//
#include "kernels/variant.h"
