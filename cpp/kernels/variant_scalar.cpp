#define LTU_VARIANT scalar
#include "kernels/simd_scalar.h"
//
#include "kernels/variant.h"
