# `make help` tells what there is. Everything runs from .venv, which `setup` makes when it is missing or old.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where it is set, each of the hundreds of processes that tests start would compile all it imports: a second.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
# Tests on a real cluster wait most of their time, so there are more workers than cores: tests/support/schedule.py.
WORKERS = 4
test-unit test-simulation shuffle: WORKERS = 2
PYTEST = $(BIN)/pytest -n $(WORKERS)
# Of this checkout, so that a cluster of another one is left alone; short, for the Unix sockets in it.
DEMO_CLUSTER := $(HOME)/.cache/aim-operator/cluster/demo-$(shell pwd | cksum | cut -d' ' -f1)

.venv/.setup: pyproject.toml uv.lock hack/setup.sh
	@hack/setup.sh

##@ Try it

.PHONY: setup
setup: .venv/.setup  ## make .venv from uv.lock; needs Python 3.11 and pip, nothing else

.PHONY: demo
demo: .venv/.setup  ## a model catalog becomes a running service, in memory, in seconds
	@$(BIN)/aimctl demo $(if $(EXAMPLE),--example $(EXAMPLE))

.PHONY: demo-cluster
demo-cluster: .venv/.setup  ## the same on a real Kubernetes with KServe and a gateway, started for it
	@PYTHONUNBUFFERED=1 $(BIN)/python -m hack.demo_cluster --dir $(DEMO_CLUSTER) $(if $(EXAMPLE),--example $(EXAMPLE))

##@ Work on it

# `make test TESTS=tests/unit/core` runs some; with NOT_RUN=fail, tests that can't run here are a failure.
TESTS ?= tests
NOT_RUN ?= name

.PHONY: test
test: .venv/.setup  ## every test that this machine can run now; names those that it can't; TESTS=path for some
	@$(PYTEST) --not-run=$(NOT_RUN) $(TESTS)

.PHONY: test-all
test-all: cluster-build  ## build the cluster's programs, once, then every test; fails if one can't run
	@$(MAKE) --no-print-directory test NOT_RUN=fail

.PHONY: test-unit
test-unit: .venv/.setup  ## single functions and processes, no cluster
	@$(PYTEST) tests/unit

.PHONY: test-simulation
test-simulation: .venv/.setup  ## the whole operator on an API server in memory, with faults and crashes
	@$(PYTEST) tests/simulation

# `make shuffle ORDERS=10 LOAD=8` beside eight busy processes; FIRST=17 plays that order again, TESTS=path some tests.
ORDERS ?= 1
LOAD ?= 0

.PHONY: shuffle
shuffle: .venv/.setup  ## those two in ORDERS=n random orders, with SIGINT ignored; they pass in any
	@$(BIN)/python -m hack.shuffle --orders $(ORDERS) --load $(LOAD) --first $(FIRST) --workers $(WORKERS) $(if $(filter file,$(origin TESTS)),,$(TESTS))

# `make simulate TELLER=chaos SEED=17` replays one story, and shortens it if it breaks a rule.
# The next stories: FIRST=n, from the n-th seed on.
SEEDS ?= 10000
FIRST ?= 0

.PHONY: simulate
simulate: .venv/.setup  ## play SEEDS=n random stories on the operator in memory; TELLER=edits SEED=n replays one
	@$(BIN)/python -m tests.simulation.explore $(if $(TELLER),--teller $(TELLER)) $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) --first $(FIRST))

# Always the same ones, so that one that fails is a failure of the commit. CI's; the suite plays others.
.PHONY: stories
stories:  ## the 10,000 stories that CI plays beside the suite: eight minutes on two idle cores
	@$(MAKE) --no-print-directory simulate SEEDS=10000 FIRST=100000

# `make mutants ONLY='do not hear of pods'` puts in those whose name has a match of that regular expression.
.PHONY: mutants
mutants: .venv/.setup  ## put each of more than 900 single faults into the operator; some test must notice: a quarter of an hour, or half of one beside other work
	@$(BIN)/python -m hack.mutants $(if $(ONLY),--only "$(ONLY)")

.PHONY: test-cluster
test-cluster: cluster-build  ## on a real control plane: API server, etcd, controllers
	@$(PYTEST) tests/cluster

.PHONY: test-e2e
test-e2e: cluster-build  ## on a real node with KServe and a gateway; and what the docs tell readers to run
	@$(PYTEST) tests/e2e tests/docs

.PHONY: bench
bench: .venv/.setup  ## measure it, a quarter of an hour; `python -m bench.scale --full` has 10,000 services
	@$(if $(JSON),mkdir -p $(JSON))
	@for each in restart converge scale discovery fetch; do \
	  $(BIN)/python -m bench.$$each $(if $(JSON),--json $(JSON)/$$each.json); echo; done
	@# 3 means that this machine can't run a node; it has said why.
	@$(BIN)/python -m bench.latency $(if $(JSON),--json $(JSON)/latency.json) || [ $$? -eq 3 ]

.PHONY: check
check: .venv/.setup  ## ruff, formatter, mypy, import contract, undeclared imports, generated files, links, spelling and style of docs, docs site
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry src >/dev/null 2>&1 || $(BIN)/deptry src
	@$(BIN)/python -m hack.generate --check
	@$(BIN)/python -m hack.check_links
	@$(BIN)/codespell README.md CHANGELOG.md docs charts examples src hack bench
	@$(BIN)/python -m hack.prose
	@$(BIN)/python -m hack.site --check

.PHONY: format
format: .venv/.setup  ## format the code, and mend what ruff can mend
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

.PHONY: generate
generate: .venv/.setup  ## write deploy/crds/ and the generated pages of docs/reference/ from the code
	@$(BIN)/python -m hack.generate

.PHONY: docs
docs: .venv/.setup  ## build the docs site into site/
	@$(BIN)/python -m hack.site

# BASE is where the archives will be found: the manifest has it, with their sums.
.PHONY: krew
krew: .venv/.setup  ## kubectl aim as Krew installs it, into dist/krew; BASE=https://… of its archives
	@$(BIN)/python -m hack.krew --base "$(BASE)" --out dist/krew

.PHONY: clean
clean:  ## remove .venv and all caches of this directory
	@rm -rf .venv .venv-uv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist site
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ A cluster of your own

# For a cluster of your own, in AIM_TEST_KUBECONFIG. A variable, since a comma within $(if …) would end its branch.
TOOLS_ALONE := --parts helm,krew,kube-state-metrics

.PHONY: cluster-build
cluster-build: .venv/.setup  ## build its programs, once for all checkouts: half an hour on two cores; can be interrupted
	@# 3: it has said what can't be built here.
	@PYTHONUNBUFFERED=1 $(BIN)/python -m hack.cluster build $(if $(AIM_TEST_KUBECONFIG),$(TOOLS_ALONE)) || [ $$? -eq 3 ]

.PHONY: cluster-up
cluster-up: .venv/.setup  ## start Kubernetes with a node, KServe and a gateway on this machine
	@PYTHONUNBUFFERED=1 $(BIN)/python -m hack.cluster up --parts node,kserve,gateway

.PHONY: cluster-down
cluster-down: .venv/.setup  ## stop it, and leave nothing behind
	@$(BIN)/python -m hack.cluster down

.PHONY: help
help:
	@bold=; blue=; plain=; if [ -t 1 ]; then bold=$$'\e[1m'; blue=$$'\e[36m'; plain=$$'\e[0m'; fi; \
	awk -F '  ## ' -v bold="$$bold" -v blue="$$blue" -v plain="$$plain" ' \
	  /^##@/ { printf "\n%s%s%s\n", bold, substr($$0, 5), plain } \
	  /^[a-z0-9-]+:.*  ## / { sub(/:.*/, "", $$1); printf "  %smake %-15s%s %s\n", blue, $$1, plain, $$2 }' \
	  $(MAKEFILE_LIST); echo
