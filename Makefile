# Two commands set everything up: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test thorough lint format docs bench bench-fidelity bench-gpu clean

demo: .venv/demo.stamp ## Code a photo (IMAGE=path/to/any.jpg takes your own), print a table, write demo.png
	$(BIN)/python examples/demo.py $(if $(IMAGE),"$(IMAGE)")

test: .venv/test.stamp ## Run every test on two processes
	$(BIN)/python -m pytest -n 2 $(PYTEST)

thorough: .venv/test.stamp ## Run the long comparisons with libjpeg-turbo, too
	PYJPEGDIFF_THOROUGH=1 $(BIN)/python -m pytest -n 2 tests/test_pillow.py

lint: .venv/test.stamp ## Lint, check the format and the types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/test.stamp ## Apply what `lint` would ask for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/docs.stamp ## Build the manual into build/docs, which runs the code of every page
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env docs build/docs

bench: .venv/bench.stamp ## Measure speed and memory beside what a user would pick instead
	$(BIN)/python -m benchmarks $(BENCH)

bench-fidelity: .venv/bench.stamp ## Measure how near each codec comes to Pillow
	$(BIN)/python -W ignore -m benchmarks.fidelity

bench-gpu: .venv/bench.stamp ## Measure on a GPU, beside a mere copy; CuPy is installed by hand, for the CUDA there is
	$(BIN)/python -W ignore -m benchmarks.gpu $(BENCH)

clean: ## Remove the environment and what tools left behind
	rm -rf .venv build dist demo.png .hypothesis .mypy_cache .pytest_cache .ruff_cache

# An environment a stamp: made again when what it depends on changes, and only then.
.venv/python.stamp:
	$(PYTHON) -m venv .venv
	touch $@

.venv/demo.stamp: .venv/python.stamp pyproject.toml
	$(INSTALL) --editable '.[demo]'
	touch $@

.venv/test.stamp: .venv/python.stamp pyproject.toml constraints.txt
	$(INSTALL) --editable '.[test,torch,lint]'
	touch $@

.venv/docs.stamp: .venv/python.stamp pyproject.toml constraints.txt
	$(INSTALL) --editable '.[docs]'
	touch $@

.venv/bench.stamp: .venv/test.stamp
	$(INSTALL) --editable '.[bench]'
	touch $@
