# ltu-serve in a container; models come by a volume, or from the Hub into the cache's.
#
#   docker build -t ltu .                      # any x86-64 with AVX2, or aarch64
#   docker build -t ltu-cuda --target cuda .   # NVIDIA cards from Ampere on
#   docker run -p 127.0.0.1:8000:8000 -e LTU_API_KEY=secret -v ./models:/models:ro ltu --gguf /models/m.gguf

FROM python:3.12-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source -C cmake.define.LTU_NATIVE=OFF

FROM nvidia/cuda:12.8.1-devel-ubuntu24.04 AS build-cuda
RUN apt-get update && apt-get install --yes --no-install-recommends g++ python3-dev python3-pip && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source \
    -C cmake.define.LTU_NATIVE=OFF -C cmake.define.LTU_CUDA=ON -C cmake.define.CMAKE_CUDA_ARCHITECTURES=80-virtual

FROM nvidia/cuda:12.8.1-runtime-ubuntu24.04 AS cuda
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/ltu
ENV PATH=/opt/ltu/bin:$PATH
RUN --mount=type=bind,from=build-cuda,source=/wheels,target=/wheels \
    pip install --no-cache-dir "$(echo /wheels/ltu_engine-*.whl)[serve]"
RUN useradd --create-home --uid 10001 ltu && mkdir /cache && chown ltu /cache
USER ltu
ENV XDG_CACHE_HOME=/cache HF_HOME=/cache/huggingface
VOLUME /cache
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=10m \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["ltu-serve", "--host", "0.0.0.0", "--port", "8000"]

FROM python:3.12-slim-bookworm AS cpu
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir "$(echo /wheels/ltu_engine-*.whl)[serve]"
RUN useradd --create-home --uid 10001 ltu && mkdir /cache && chown ltu /cache
USER ltu
ENV XDG_CACHE_HOME=/cache HF_HOME=/cache/huggingface
VOLUME /cache
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=10m \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["ltu-serve", "--host", "0.0.0.0", "--port", "8000"]
