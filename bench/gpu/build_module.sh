#!/bin/bash
# Builds the module for CUDA and Python 3.12 where there is nvcc and no card: bench/gpu/build_module.sh [ARCHITECTURE]
# (90-real). Prints the build's folder on its last line. Everything is kept in $WORK (build/gpu); ggml's part, many minutes of
# it, in the user's cache. cuBLAS comes as a wheel, so that the module finds the library that PyTorch brings to the card's machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
architecture=${1:-90-real}
mkdir -p "${WORK:-build/gpu}"
work=$(realpath "${WORK:-build/gpu}")
module=$work/module-$architecture

if [ ! -x "$work/venv/bin/ninja" ]; then
  "${PYTHON312:-python3.12}" -m venv "$work/venv"
  "$work/venv/bin/python" -m pip install --quiet pybind11 ninja scikit-build-core
fi
libraries=$work/cublas/nvidia/cu13/lib
if [ ! -e "$libraries/libcublas.so" ]; then
  "$work/venv/bin/python" -m pip install --quiet --no-deps --target "$work/cublas" nvidia-cublas==13.0.2.14
  ln -sf libcublas.so.13 "$libraries/libcublas.so"
  ln -sf libcublasLt.so.13 "$libraries/libcublasLt.so"
fi
if [ ! -e "$module/build.ninja" ]; then
  cmake -G Ninja -S . -B "$module" -DCMAKE_MAKE_PROGRAM="$work/venv/bin/ninja" -DCMAKE_BUILD_TYPE=Release \
    -DLTU_CUDA=ON -DLTU_VULKAN=OFF -DLTU_NATIVE=OFF -DGGML_CUDA_NO_VMM=ON -DCMAKE_CUDA_ARCHITECTURES="$architecture" \
    -DPython_EXECUTABLE="$work/venv/bin/python" -Dpybind11_DIR="$("$work/venv/bin/python" -m pybind11 --cmakedir)" \
    -DCMAKE_CUDA_FLAGS="-I$work/cublas/nvidia/cu13/include" \
    -DCUDA_cublas_LIBRARY="$libraries/libcublas.so" -DCUDA_cublasLt_LIBRARY="$libraries/libcublasLt.so" >&2
fi
"$work/venv/bin/ninja" -C "$module" >&2
echo "$module"
