// For ggml's AMX kernels under GCC 12, whose _tile_loadconfig says that it reads 8 bytes of its operand: the
// stores that fill the other 56 are then dropped, and the processor faults. This one says that it reads
// all 64.
#pragma once
#if defined(__AMX_TILE__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
#undef _tile_loadconfig
#define _tile_loadconfig(config) __asm__ volatile("ldtilecfg %0" ::"m"(*(const char (*)[64])(config)))
#endif
