#define LTU_VARIANT avx2
#include "kernels/simd_avx2.h"
//
#include "kernels/variant.h"
