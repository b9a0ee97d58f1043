# Every target sets up what it needs; `make help` lists them.
VENV ?= .venv
PYTHON ?= python3
RUNS ?= runs
BIN := $(VENV)/bin
DEPENDENCIES := $(VENV)/.dependencies

# Some containers forbid it; then each process that the tests start compiles the whole package again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup lock audit sbom wheel lint browser clients test test-quick fuzz demo results results-render results-runs results-soak results-clients results-coverage results-int8 results-shrink results-train results-detection results-rates results-serve results-benchmark results-tune schema docs clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(DEPENDENCIES) ## build the environment alone: make setup VENV=DIR
	@test "$$(cat $(VENV)/.project 2>/dev/null)" = "$(CURDIR)" || { \
		$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable . && \
		$(BIN)/pip check && echo "$(CURDIR)" > $(VENV)/.project; }

# The stamp is written last, so that an interrupted installation is begun again.
$(DEPENDENCIES): requirements.lock
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	@touch $@

SERVE_LOCK := compress/core/serve.lock
lock: ## write the versions of this environment with their hashes to requirements.lock, and those that `serve` needs
	mkdir -p build
	$(BIN)/pip freeze --all --exclude pip --exclude imgc-toolkit > build/frozen.txt
	$(BIN)/uv pip compile --quiet --no-deps --generate-hashes --no-annotate --custom-compile-command "make lock" \
		build/frozen.txt --output-file requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --custom-compile-command "make lock" \
		--extra serve --constraint requirements.lock pyproject.toml --output-file $(SERVE_LOCK)

# Both tools come for the one command, into uv's cache: nothing else needs them.
audit: setup ## look up known vulnerabilities of what requirements.lock names (needs pypi.org)
	$(BIN)/uvx --quiet pip-audit@2.10.1 --strict --require-hashes --disable-pip --requirement requirements.lock

SBOM := dist/imgc-toolkit.cdx.json
sbom: wheel ## write what the wheel with its extra `serve` consists of, as CycloneDX: dist/imgc-toolkit.cdx.json
	$(BIN)/uvx --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py requirements $(SERVE_LOCK) --pyproject pyproject.toml \
		--mc-type library --output-reproducible --output-format JSON --output-file $(SBOM)

wheel: setup ## build the wheel of this checkout: dist/imgc_toolkit-VERSION-py3-none-any.whl
	rm -rf build # setuptools would pack what it holds of files that are no more
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

lint: setup ## style, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# No Chromium is no failure: the tests that need it are skipped and say so.
browser: ## install Debian's Chromium, which the tests of the page drive, where it is missing
	@if command -v chromium >/dev/null; then :; \
	elif ! command -v apt-get >/dev/null; then echo "no chromium and no apt-get: the browser tests will be skipped"; \
	elif [ "$$(id -u)" != 0 ]; then echo "for the browser tests: sudo apt-get install --no-install-recommends chromium"; \
	else { apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium >/dev/null; } \
		|| echo "chromium could not be installed: the browser tests will be skipped"; fi

# What is missing here skips its test, which says so. onnxruntime-node has its CPU library in the package; its script
# would fetch CUDA's.
NPM_PACKAGES := axios@1.21.1 onnxruntime-node@1.30.0 onnxruntime-web@1.30.0 sharp@0.35.5
clients: ## install what tests drive, where it is missing: HTTP clients (Go, ab, wrk, wget, axios), ONNX Runtime for Node and browsers
	@(for tool in go ab wrk wget; do command -v $$tool || exit 1; done) >/dev/null \
		|| [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || { \
		apt-get -qq update && apt-get -qq install --yes --no-install-recommends golang-go apache2-utils wrk wget >/dev/null; } \
		|| echo "some HTTP clients could not be installed: their tests will be skipped"
	@[ "$$(cat .cache/clients/packages 2>/dev/null)" = "$(NPM_PACKAGES)" ] || ! command -v npm >/dev/null || \
		{ mkdir -p .cache/clients && ONNXRUNTIME_NODE_INSTALL=skip npm install --silent --no-save --prefix .cache/clients \
		$(NPM_PACKAGES) >/dev/null && echo "$(NPM_PACKAGES)" > .cache/clients/packages; } \
		|| echo "packages of npm could not be installed: their tests will be skipped"

# Three processes on two cores, a thread each: most tests build graphs in Python, which has no use for a second thread, and
# some wait for a server, a browser or another process. Each begins with a part of the tests, in
# order, for neighbours share networks that take seconds to make; who is done takes from the others.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 3 --dist worksteal
test: lint browser clients ## set up, lint, run all tests
	$(PYTEST)

test-quick: setup ## before each commit: style, and the tests that take no longer than about 2 s each
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYTEST) -m "not slow and not real"

FUZZ ?= 1000
fuzz: setup ## try damaged files and requests, FUZZ of each kind, after those that once broke something: make fuzz FUZZ=5000
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --count $(FUZZ)

demo: setup ## set up and run the whole chain on the bundled data
	$(BIN)/imgc run recipes/demo.yaml --runs-dir $(RUNS)

# `results-*` measure, and write docs/results/ (a page and its JSON in docs/results/data/). `results-render` writes the
# pages again from the JSON. `results` alone touches README: its table and its chart, from the same JSON.
results: setup ## write README's table and chart from docs/results/data/int8.json; measures nothing
	$(BIN)/python -m evals.pages.accuracy_latency README.md

results-render: setup ## write the pages of docs/results/ from their JSON; measures nothing
	$(BIN)/python -m evals.pages.render

results-runs: setup ## write docs/results/runs from the runs that exist under runs/
	$(BIN)/python -m evals.pages.runs $(RUNS)

SECONDS ?= 600
results-soak: setup ## good clients beside hostile ones, for docs/results/serving: make results-soak MODEL=m.tflite IMAGES=DIR
	$(BIN)/python -m evals.serve.soak $(MODEL) $(IMAGES) $(SECONDS)

results-clients: setup clients ## HTTP clients against the server, for docs/results/clients: make results-clients MODEL=m.tflite IMAGE=a.jpg
	$(BIN)/python -m evals.clients.measure $(MODEL) $(IMAGE)

results-coverage: setup ## architectures of timm and torchvision through the importer, for docs/results/coverage
	$(BIN)/python -m evals.coverage.measure

# NNCF and torchao bring packages that nothing else needs, so they have an environment of their own.
INT8_TOOLS := .venv-int8
INT8_PINS := evals/int8_baselines.txt
$(INT8_TOOLS)/.dependencies: requirements.lock $(INT8_PINS)
	$(PYTHON) -m venv --clear $(INT8_TOOLS)
	$(INT8_TOOLS)/bin/pip install --quiet --upgrade pip
	$(INT8_TOOLS)/bin/pip install --quiet --requirement requirements.lock
	$(INT8_TOOLS)/bin/pip install --quiet --no-deps --requirement $(INT8_PINS)
	@touch $@

INT8_RECIPES := $(wildcard recipes/clothing_int8_*.yaml)
results-int8: setup $(INT8_TOOLS)/.dependencies ## make the int8 runs (needs ../shared/data), compare with other tools, write docs/results/int8
	for recipe in $(INT8_RECIPES); do $(BIN)/imgc run $$recipe --runs-dir $(RUNS) || exit 1; done
	$(INT8_TOOLS)/bin/python -m evals.int8.table $(RUNS)

SHRINK_RECIPES := $(wildcard recipes/clothing_shrink_*.yaml)
SHRINK_ARGS ?=
results-shrink: setup ## make the pruning runs (needs ../shared/data), compare with torch-pruning, write docs/results/pruning; SHRINK_ARGS=--choose
	for recipe in $(SHRINK_RECIPES); do for seed in 0 1; do \
		$(BIN)/imgc run $$recipe --set seed=$$seed --name $$(basename $$recipe .yaml)_seed$$seed --runs-dir $(RUNS) || exit 1; \
	done; done
	$(BIN)/python -m evals.shrink.table $(RUNS) $(SHRINK_ARGS)

SHARED := ../shared/data
results-train: setup ## train by turns with two plain loops (needs ../shared/data), write docs/results/training
	GOMP_SPINCOUNT=2000 $(BIN)/python -m evals.train.speed $(SHARED)/clothing \
		$(SHARED)/weights/tf_mobilenetv3_small_100.timm.imagenet.safetensors

BASELINES := .venv-baselines
BASELINE_PINS := evals/serve_baselines.txt
$(BASELINES)/.dependencies: $(BASELINE_PINS)
	$(PYTHON) -m venv --clear $(BASELINES)
	$(BASELINES)/bin/pip install --quiet --upgrade pip
	$(BASELINES)/bin/pip install --quiet --requirement $(BASELINE_PINS)
	@touch $@

RATES := $(BIN)/python -m evals.train.rates
DETECT_RECIPE := cards_ssdlite_mobilenetv3_small
DETECT_SEEDS := 0 1
results-detection: setup $(INT8_TOOLS)/.dependencies ## train detectors of the cards, make them int8 and half as large, compare with other tools: docs/results/detection.md
	for seed in $(DETECT_SEEDS); do \
		$(BIN)/imgc run recipes/$(DETECT_RECIPE).yaml --set seed=$$seed --name $(DETECT_RECIPE)_seed$$seed --runs-dir $(RUNS) || exit 1; \
	done
	$(INT8_TOOLS)/bin/python -m evals.detect.measure --data ../shared/data/detection/cards \
		$(DETECT_SEEDS:%=$(RUNS)/$(DETECT_RECIPE)_seed%)

results-rates: setup ## learning rates of fine-tuning (needs ../shared/data; hours), for docs/results/training
	$(RATES) $(SHARED)/clothing --arch tf_mobilenetv3_small_100 --sizes 200 500 1000 \
		--weights $(SHARED)/weights/tf_mobilenetv3_small_100.timm.imagenet.safetensors
	$(RATES) $(SHARED)/clothing --arch squeezenet1_1 --sizes 200 500 --publish \
		--weights $(SHARED)/weights/squeezenet1_1.torchvision.imagenet.safetensors

SERVE_RUN := $(RUNS)/clothing_int8_mobilenetv3_small
SERVE_ARGS ?=
results-serve: setup ## measure the server beside others (needs an int8 run, ../shared/data), write docs/results/serving; SERVE_ARGS='--only load'
	-@$(MAKE) --no-print-directory $(BASELINES)/.dependencies
	$(BIN)/python -m evals.serve.table $(SERVE_RUN) $(SHARED)/clothing/test --baselines $(BASELINES) $(SERVE_ARGS)

BENCH_RUN := $(RUNS)/clothing_int8_mobilenetv3_small
results-benchmark: setup ## measure the measuring itself (needs a run with int8 files: BENCH_RUN=), write docs/results/measuring
	$(BIN)/python -m evals.benchmark.goals $(BENCH_RUN)

SEARCH := tune30
SEARCH_RUNS := $(RUNS)/search# of its own, so that the search finds nothing of the grid's
results-tune: setup ## search for 30 minutes, carry out a grid of ten (needs ../shared/data), write docs/results/tune
	$(BIN)/imgc tune --data $(SHARED)/clothing --max-size 1MB --budget 30m --name $(SEARCH) --runs-dir $(SEARCH_RUNS) \
		$(foreach file,$(wildcard $(SHARED)/weights/*.safetensors),--weights $(file))
	$(BIN)/python -m evals.tune.table $(SHARED)/clothing $(SHARED)/weights $(RUNS) $(SEARCH_RUNS)/$(SEARCH)-tune

schema: setup ## write the JSON Schema of bench.json from its types
	$(BIN)/python -m compress.benchmark.bench_file

docs: setup ## write docs/reference/ from the types and the command line
	$(BIN)/python -m docs_tools.generate docs/reference

clean: ## remove the runs and the tools' caches; the environment stays
	rm -rf $${XDG_CACHE_HOME:-$$HOME/.cache}/imgc-tests $(RUNS) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
