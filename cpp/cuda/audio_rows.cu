#include "cuda/audio_rows.h"
#include "cuda/row_code.h"

namespace ltu::cuda {

namespace {

__global__ void cut_patch(const float *features, half *pixels, int frames, int mels, int patch) {
  const int across = frames / patch, patches = mels / patch * across;
  const int clip = blockIdx.x / patches, f = blockIdx.x % patches / across, t = blockIdx.x % across;
  const float *corner = features + (static_cast<int64_t>(clip) * frames + t * patch) * mels + f * patch;
  half *out = pixels + static_cast<int64_t>(blockIdx.x) * patch * patch;
  for (int i = threadIdx.x; i < patch * patch; i += threads)
    out[i] = to_half(corner[i % patch * mels + i / patch]);
}

__global__ void place_patch(float *x, const float *bias, const float *positions, const float *modality,
                            int patches, int width) {
  const int64_t row = blockIdx.x;
  float *out = x + row * width;
  const float *position = positions + row % patches * width;
  for (int i = threadIdx.x; i < width; i += threads)
    out[i] += bias[i] + (position[i] + modality[i]);
}

// layer_norm of `row` in shared memory, of which each thread has written its own elements (i, i + threads,
// …): what it is to be multiplied with after the mean is taken away.
struct Moments {
  float mean, scale;
};
__device__ Moments moments(const float *row, int width, float epsilon) {
  float sum = 0;
  for (int i = threadIdx.x; i < width; i += threads)
    sum += row[i];
  const float mean = sum_of_block(sum) / static_cast<float>(width);
  float squares = 0;
  for (int i = threadIdx.x; i < width; i += threads)
    squares += (row[i] - mean) * (row[i] - mean);
  return {mean, 1.0F / sqrtf(sum_of_block(squares) / static_cast<float>(width) + epsilon)};
}

__global__ void norm_patch(float *x, const float *bias, LayerNorm norm, half *y, int width) {
  float *row = dynamic_shared<float>(), *in = x + static_cast<int64_t>(blockIdx.x) * width;
  half *out = y + static_cast<int64_t>(blockIdx.x) * width;
  for (int i = threadIdx.x; i < width; i += threads) {
    row[i] = in[i];
    if (bias)
      in[i] = row[i] += bias[i];
  }
  const Moments m = moments(row, width, norm.epsilon);
  for (int i = threadIdx.x; i < width; i += threads)
    out[i] = to_half((row[i] - m.mean) * m.scale * norm.weight[i] + norm.bias[i]);
}

__global__ void split_row(const float *qkv, const float *bias, half *queries, half *keys, half *values,
                          int width) {
  const int64_t row = blockIdx.x;
  for (int i = 4 * threadIdx.x; i < 3 * width; i += 4 * threads) {
    const float4 a = four(qkv + row * 3 * width + i), b = four(bias + i);
    half *part = i < width ? queries : i < 2 * width ? keys : values;
    store_four(part + row * width + i % width, {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w});
  }
}

__device__ float gelu_of(float x) {
  return 0.5F * x * (1.0F + erff(x * 0.70710678F));
}

__global__ void gelu_row(const float *x, const float *bias, half *y, int width) {
  const int64_t row = blockIdx.x;
  for (int i = 4 * threadIdx.x; i < width; i += 4 * threads) {
    const float4 a = four(x + row * width + i), b = four(bias + i);
    store_four(y + row * width + i,
               {gelu_of(a.x + b.x), gelu_of(a.y + b.y), gelu_of(a.z + b.z), gelu_of(a.w + b.w)});
  }
}

// A block has one embedding.
__global__ void pool_row(const float *x, const float *bias, LayerNorm norm, float *y, int rows, int columns,
                         int pooled, int width) {
  const int embeddings = columns / pooled, clip = blockIdx.x / embeddings, t = blockIdx.x % embeddings;
  float *row = dynamic_shared<float>(), *sum = row + width;
  for (int i = threadIdx.x; i < width; i += threads)
    sum[i] = 0;
  for (int patch = 0; patch < rows * pooled; ++patch) {
    const int column = t * pooled + patch / rows, f = patch % rows;
    const float *in = x + ((static_cast<int64_t>(clip) * rows + f) * columns + column) * width;
    for (int i = threadIdx.x; i < width; i += threads)
      row[i] = in[i] + bias[i];
    const Moments m = moments(row, width, norm.epsilon);
    for (int i = threadIdx.x; i < width; i += threads)
      sum[i] += (row[i] - m.mean) * m.scale * norm.weight[i] + norm.bias[i];
  }
  const float by = 1.0F / static_cast<float>(rows * pooled);
  for (int i = threadIdx.x; i < width; i += threads)
    y[static_cast<int64_t>(blockIdx.x) * width + i] = sum[i] * by;
}

__global__ void scale_and_norm_row(const float *x, float factor, float epsilon, half *y, int width) {
  float *row = dynamic_shared<float>();
  const float *in = x + static_cast<int64_t>(blockIdx.x) * width;
  for (int i = threadIdx.x; i < width; i += threads)
    row[i] = in[i] * factor;
  const Moments m = moments(row, width, epsilon);
  for (int i = threadIdx.x; i < width; i += threads)
    y[static_cast<int64_t>(blockIdx.x) * width + i] = to_half((row[i] - m.mean) * m.scale);
}

__global__ void add_bias_row(float *x, const float *bias, int width) {
  float *out = x + static_cast<int64_t>(blockIdx.x) * width;
  for (int i = threadIdx.x; i < width; i += threads)
    out[i] += bias[i];
}

size_t shared_floats(int64_t count) {
  return static_cast<size_t>(count) * sizeof(float);
}

} // namespace

void cut_patches(Card &card, const float *features, Half *pixels, int64_t clips, int64_t frames, int64_t mels,
                 int64_t patch) {
  launch_rows(card, cut_patch, clips * (frames / patch) * (mels / patch), 0, features, halves(pixels),
              static_cast<int>(frames), static_cast<int>(mels), static_cast<int>(patch));
}

void place_patches(Card &card, float *x, const float *bias, const float *positions, const float *modality,
                   int64_t n, int64_t patches, int64_t width) {
  launch_rows(card, place_patch, n, 0, x, bias, positions, modality, static_cast<int>(patches),
              static_cast<int>(width));
}

void add_and_norm(Card &card, float *x, const float *bias, const LayerNorm &norm, Half *y, int64_t n,
                  int64_t width) {
  launch_rows(card, norm_patch, n, shared_floats(width), x, bias, norm, halves(y), static_cast<int>(width));
}

void split_heads(Card &card, const float *qkv, const float *bias, Half *queries, Half *keys, Half *values,
                 int64_t n, int64_t width) {
  launch_rows(card, split_row, n, 0, qkv, bias, halves(queries), halves(keys), halves(values),
              static_cast<int>(width));
}

void gelu(Card &card, const float *x, const float *bias, Half *y, int64_t n, int64_t width) {
  launch_rows(card, gelu_row, n, 0, x, bias, halves(y), static_cast<int>(width));
}

void pool_patches(Card &card, const float *x, const float *bias, const LayerNorm &norm, float *y,
                  int64_t clips, int64_t rows, int64_t columns, int64_t pooled, int64_t width) {
  launch_rows(card, pool_row, clips * (columns / pooled), shared_floats(2 * width), x, bias, norm, y,
              static_cast<int>(rows), static_cast<int>(columns), static_cast<int>(pooled),
              static_cast<int>(width));
}

void scale_and_norm(Card &card, const float *x, float divisor, float epsilon, Half *y, int64_t n,
                    int64_t width) {
  launch_rows(card, scale_and_norm_row, n, shared_floats(width), x, 1.0F / divisor, epsilon, halves(y),
              static_cast<int>(width));
}

void add_bias(Card &card, float *x, const float *bias, int64_t n, int64_t width) {
  launch_rows(card, add_bias_row, n, 0, x, bias, static_cast<int>(width));
}

} // namespace ltu::cuda
