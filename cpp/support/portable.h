#pragma once

// Code that the host and a card's kernels share.
#if defined(__CUDACC__)
#define LTU_PORTABLE __host__ __device__
#else
#define LTU_PORTABLE
#endif
