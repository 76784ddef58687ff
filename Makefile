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

.PHONY: ui screenshots fuzz setup wheel demo test test-core lint faults sim tools nodes crowd chaos powercut soak cold bench bench-field lock clean help
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
	@echo "make soak       thirty minutes of it; memory and files of every process flat"
	@echo "make cold       everything killed at once with 1,000 continuations"
	@echo "make bench      each figure beside its bare loop"
	@echo "make bench-field how well the engines rank, on a judged collection"
	@echo "make bench-pane the pane before 100,000 continuations"
	@echo "make ui         the pane from its sources into the package (needs node)"
	@echo "make screenshots each view of the pane into docs/img"
	@echo "make wheel      dist/, for \`ray up\`"
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

# One thousand approved actions with a death at every port call in turn; `make test` tries a hundred.
tools: setup
	TOOL_DEATHS=1000 $(BIN)/python -m pytest -q --timeout 900 tests/simulation/test_unsafe_tools.py

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

# How well the engines rank a judged collection, and how long the top of a field takes.
bench-field: setup
	$(BIN)/python -m benchmarks --only field retrieval --write-ranking

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

clean:
	rm -rf .venv .venv-core .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
