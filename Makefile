# Each target does its own set-up. Needs Python 3.11 or 3.12 with pip; everything else comes from the lock.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
BIN := .venv/bin
CORE := .venv-core/bin
LOCKED := $(shell cat requirements.lock pyproject.toml | cksum | cut -d' ' -f1)
READY := .venv/.locked-$(LOCKED)
CORE_READY := .venv-core/.locked-$(LOCKED)
PIP := -m pip install --quiet --disable-pip-version-check

# What the core may need, and all that these need; `pip check` below fails when the list is not closed.
CORE_PACKAGES := annotated-types attrs croniter hypothesis idna iniconfig jsonschema jsonschema-specifications orjson \
                 packaging pluggy pydantic pydantic-core pygments pytest pytest-asyncio pytest-timeout python-dateutil \
                 referencing rpds-py six sortedcontainers structlog typing-extensions typing-inspection
CORE_TESTS := $(wildcard tests/unit/test_ids.py tests/unit/test_errors.py tests/unit/test_clock.py \
                 tests/unit/budget tests/unit/continuation tests/unit/policy tests/unit/supervision tests/unit/mesh \
                 tests/unit/field tests/unit/tick tests/unit/tools tests/property)
CORE_CONTRACT := $(wildcard tests/contract/test_store_*.py)

.PHONY: docs reference tutorial ui screenshots fuzz setup wheel demo test test-core lint faults sim tools nodes crowd chaos powercut upgrade soak cold bench bench-field bench-kernel lock clean help
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:
	@echo "make demo       the main job, offline, in under two minutes"
	@echo "make test       lint, the core alone, then the whole suite"
	@echo "make lint       ruff, mypy, pyright, layers"
	@echo "make faults     who is asked, how often, what is billed, for each fault of a provider: docs/fault-table.md"
	@echo "make sim        10,000 simulated runs, three weeks cut at every write, 200,000 rule steps against each store"
	@echo "make tools      1,000 approved unsafe actions, a death at every port call in turn"
	@echo "make nodes      500 continuations, while a node is killed, one paused, one drained"
	@echo "make crowd      1,000 that wake at once, served by a pool of at most eight"
	@echo "make chaos      five minutes of faults on the whole cluster, and the invariants after them"
	@echo "make powercut   twenty power cuts under a store that is being written to (needs root)"
	@echo "make upgrade    ten rolling upgrades and roll-backs under load"
	@echo "make soak       thirty minutes of it; memory and files of every process flat"
	@echo "make cold       everything killed at once with 1,000 continuations"
	@echo "make bench      each figure beside its bare loop"
	@echo "make bench-field how well the engines rank, on a judged collection"
	@echo "make vllm       the kernel's engine vllm behind Serve, in an environment of its own"
	@echo "make bench-kernel how long the kernel's engines take, in that environment"
	@echo "make bench-pane the pane before 100,000 continuations"
	@echo "make ui         the pane from its sources into the package (needs node)"
	@echo "make screenshots each view of the pane into docs/img"
	@echo "make wheel      dist/, for \`ray up\`"
	@echo "make docs       the documentation as HTML, in build/docs; every link is checked"
	@echo "make reference  docs/reference from the code"
	@echo "make tutorial   the tutorial from a clone of its own, as a newcomer would"
	@echo "make lock       new lock files (needs uv)"

setup: $(READY)

$(READY):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
	  || { echo "Python 3.11 or 3.12 is needed, $(PYTHON) is neither: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP) --require-hashes -r requirements.lock
	$(BIN)/python $(PIP) --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q maestro actors serve_apps  # a dozen actors start at once: none compiles
	@rm -f .venv/.locked-* && touch $@

# What cluster.yaml carries to the machines.
wheel: setup
	rm -rf dist
	$(BIN)/python $(PIP:install=wheel) --no-deps --no-build-isolation --wheel-dir dist .

demo: setup
	$(BIN)/maestro demo

# 1,000 seeds and 20,000 rule steps against each store; the core alone takes a tenth of the steps, `make sim` ten times.
test-core: export MODEL_STEPS ?= 2000

test: setup lint test-core
	$(BIN)/python -m tests.lanes

# What each fault of a provider leads to, by the providers' own logs.
faults: setup
	$(BIN)/python -m tests.contract.fault_table > docs/fault-table.md.new && mv docs/fault-table.md.new docs/fault-table.md

# The core, in an environment that has neither ray nor redis nor litellm.
test-core: $(CORE_READY)
	@$(CORE)/python -c 'import importlib.util as u, sys; sys.exit(any(map(u.find_spec, ("ray", "redis", "litellm"))))'
	$(CORE)/python -m pytest --quiet -p no:cacheprovider $(CORE_TESTS)
	$(CORE)/python -m pytest --quiet -p no:cacheprovider -k memory $(CORE_CONTRACT)

$(CORE_READY):
	$(PYTHON) -m venv .venv-core
	@awk -v names="$(CORE_PACKAGES)" \
	  'BEGIN { split(names, n, " "); for (i in n) wanted[n[i]] } /^[a-z]/ { split($$1, p, "=="); keep = p[1] in wanted } keep' \
	  requirements.lock > .venv-core/core.lock
	$(CORE)/python $(PIP) --require-hashes --no-deps -r .venv-core/core.lock
	@$(CORE)/python -m pip check
	@rm -f .venv-core/.locked-* && touch $@

# mypy is the judge; pyright is a second opinion that needs node, and says so where it cannot start.
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if $(BIN)/pyright --version >/dev/null 2>&1; then echo $(BIN)/pyright; $(BIN)/pyright; \
	  else echo "pyright: not run, it cannot start here (it needs node)"; fi
	$(BIN)/lint-imports --no-logo

# Ten times what `make test` runs of the simulation.
sim: setup
	$(BIN)/python -m maestro.testing --seeds 10000 --from 0
	$(BIN)/python -m maestro.testing --story
	MODEL_STEPS=200000 $(BIN)/python -m pytest -q tests/property/test_store_model.py -k "model_says"

# Three raylets under 500 continuations: one killed, one paused, one drained, and how long each took.
nodes: export WANDERERS ?= 500
nodes: setup
	$(BIN)/python -m pytest -q -s tests/chaos/test_nodes_lost.py

# One thousand that wake at once, and a pool of at most eight on Ray; `make test` has two hundred and three.
crowd: export CROWD ?= 1000
crowd: export POOL_MOST ?= 8
crowd: setup
	$(BIN)/python -m pytest -q -s tests/e2e/test_elastic_pools.py

# A million events through a relay that is killed every 20 seconds; five floods of 10,000 events a second beside a calm.
mesh: export MESH_EVENTS ?= 1000000
mesh: export MESH_KILL_EVERY_S ?= 20
mesh: export MESH_PATIENCE_S ?= 850
mesh: export MESH_SLEEPERS ?= 10000
mesh: export MESH_FLOOD ?= 50000
mesh: export MESH_FLOODS ?= 5
mesh: setup
	$(BIN)/python -m pytest -q -s tests/integration/test_mesh_at_scale.py

# One thousand approved actions, of a behaviour and of a model with tools, with a death at every port call in turn.
tools: setup
	TOOL_DEATHS=1000 $(BIN)/python -m pytest -q -s --timeout 900 tests/simulation/test_unsafe_tools.py \
	  tests/simulation/test_exchanges.py -k "dies"

# Faults on installations of their own, with an invariant checker (docs/faults.md). The evidence stays in CHAOS_OUT.
CHAOS_OUT ?= $(shell mktemp -u -d /tmp/maestro-chaos-XXXXXX)
CHAOS_SEED ?= 1
CHAOS := $(BIN)/maestro chaos run --seed $(CHAOS_SEED)
chaos: setup
	$(CHAOS) $(CHAOS_OUT) --profile everything --minutes 5

# Each on a disk of its own, in a file; without root and loop devices it says so. `make test` has two of them.
powercut: export POWER_CUTS ?= 20
powercut: setup
	$(BIN)/python -m pytest -q -s -m powercut tests/chaos/test_power_cut.py

# From the version before to this one and back, ten times, one process after the other, under load.
upgrade: export UPGRADE_ROUNDS ?= 10
upgrade: setup
	$(BIN)/python -m pytest -q -s tests/chaos/test_upgrade.py

soak: setup
	$(CHAOS) $(CHAOS_OUT) --profile everything --minutes 30 --tellers 50

cold: setup
	$(CHAOS) $(CHAOS_OUT) --profile cold --minutes 0.4 --tellers 1000

bench: setup
	$(BIN)/python -m benchmarks

# 20,000 requests drawn from the OpenAPI file of the HTTP API; a few hundred of them are in `make test`.
fuzz: export FUZZ_REQUESTS ?= 20000
fuzz: setup
	$(BIN)/pytest -q -s tests/integration/test_api_fuzz.py

# How well the engines rank a judged collection, and how long the top of a field takes. The engine `torch` is among them
# where RANKS has torch and MiniLM's weights: make bench-field RANKS=.venv-vllm/bin/python
RANKS ?= $(BIN)/python
bench-field: export HF_HUB_OFFLINE := 1
bench-field: setup
	PYTHONPATH=$(CURDIR) $(RANKS) -m benchmarks --only field retrieval --write-ranking

# The pages as HTML, in an environment of their own; a warning is an error, and so is a link that leads nowhere.
DOCS_READY := .venv-docs/.locked-$(shell cat docs/requirements.lock | cksum | cut -d' ' -f1)
docs: $(DOCS_READY)
	.venv-docs/bin/sphinx-build --fail-on-warning --keep-going --quiet docs build/docs
	@echo "build/docs/index.html"

$(DOCS_READY):
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python $(PIP) --require-hashes -r docs/requirements.lock
	@rm -f .venv-docs/.locked-* && touch $@

# What the reference says of verbs, settings, endpoints, facts and metrics is made of the code.
reference: setup
	$(BIN)/python -m tests.reference

# A clone, an environment of its own, and every block of the tutorial, in order.
tutorial: export TUTORIAL_FROM_CLONE ?= 1
tutorial: setup
	$(BIN)/python -m pytest -q -s --timeout 1500 tests/e2e/test_tutorial.py

# The kernel's engine `vllm`, alone and behind Serve, beside plain transformers; `torch`; MiniLM in the index; a small
# model that reads its mail. Without vLLM it says so. vLLM wants a torch
# of its own, so its environment is not ours: docs/how-to/rank-on-a-gpu.md says how to make one without a GPU.
VLLM ?= .venv-vllm/bin/python
VLLM_TESTS := tests/contract/test_rankers.py tests/integration/test_torch_embedder.py tests/integration/test_small_model.py \
              tests/integration/test_cross_encoder.py tests/integration/test_vllm_engine.py tests/e2e/test_vllm_on_serve.py
vllm: export HF_HUB_OFFLINE := 1
vllm: export RAY_ENABLE_UV_RUN_RUNTIME_ENV := 0
vllm: export PYTHONPATH := $(CURDIR):$(PYTHONPATH)
vllm:
	@$(VLLM) -c 'import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ("vllm", "ray", "pytest", "psutil"))))' \
	  || { echo "not run: $(VLLM) has no vllm, ray and pytest; see docs/how-to/rank-on-a-gpu.md"; exit 1; }
	$(VLLM) -m pytest -s -rs -W ignore -p no:cacheprovider -m vllm $(VLLM_TESTS)

# How long the three engines take for 1, 32 and 256 entries; in the environment of `make vllm`.
bench-kernel: export HF_HUB_OFFLINE := 1
bench-kernel: export OMP_NUM_THREADS := 1
bench-kernel: export PYTHONPATH := $(CURDIR)
bench-kernel:
	$(VLLM) -m benchmarks.kernel --engine local torch vllm --write-docs

# What `ui/` says becomes what the package serves; at run time there is no node. The checker of its tests is copied beside them.
ui:
	cd ui && npm ci --silent && npm run --silent build
	cp ui/node_modules/axe-core/axe.min.js ui/node_modules/axe-core/LICENSE tests/pane/axe/

# Pictures by the distribution's Chromium, of a made-up swarm behind the real API.
screenshots: setup
	$(BIN)/python -m tests.pane.screens

# First paint, worst frame of scrolling, and the page's memory over ten minutes of fifty changes a second.
bench-pane: setup
	$(BIN)/python -m tests.pane.at_scale

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes pyproject.toml
lock:
	$(LOCK) --extra local --extra dev -o requirements.lock
	$(LOCK) --extra local --extra gpu -o requirements-gpu.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes docs/requirements.in -o docs/requirements.lock

clean:
	rm -rf .venv .venv-core .venv-docs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
