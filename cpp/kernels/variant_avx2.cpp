#define LTU_VARIANT avx2
#include "simd_avx2.h"
//
#include "variant.h"
