#define LTU_VARIANT scalar
#include "simd_scalar.h"
//
#include "variant.h"
