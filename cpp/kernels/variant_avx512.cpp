#define LTU_VARIANT avx512
#include "simd_avx512.h"
//
#include "variant.h"
