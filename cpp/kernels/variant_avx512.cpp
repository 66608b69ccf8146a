#define LTU_VARIANT avx512
#include "kernels/simd_avx512.h"
//
#include "kernels/variant.h"
