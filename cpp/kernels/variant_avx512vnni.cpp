#define LTU_VARIANT avx512vnni
#include "simd_avx512.h"
//
#include "variant.h"
