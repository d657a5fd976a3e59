# `make help` tells what there is. Everything runs from .venv, which `setup` makes when it is missing or old.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where it is set, each of the hundreds of processes that tests start would compile all it imports: a second.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PYTEST := $(BIN)/pytest -n 2 --dist worksteal
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

.PHONY: test
test: .venv/.setup  ## every test that this machine can run; names those that it can't
	@# Building takes minutes the first time, and shows so here; 2 means that this machine can't.
	@[ -n "$${AIM_TEST_KUBECONFIG:-}" ] || $(BIN)/python -m hack.cluster build || [ $$? -eq 2 ]
	@$(PYTEST) tests

.PHONY: test-unit
test-unit: .venv/.setup  ## only the tests that need no cluster
	@$(PYTEST) tests/unit

.PHONY: bench
bench: .venv/.setup  ## measure it, a quarter of an hour; `python -m bench.scale --full` has 10,000 services
	@$(if $(JSON),mkdir -p $(JSON))
	@for each in restart converge scale discovery fetch; do \
	  $(BIN)/python -m bench.$$each $(if $(JSON),--json $(JSON)/$$each.json); echo; done
	@# 2 means that this machine can't run a node; it has said why.
	@$(BIN)/python -m bench.latency $(if $(JSON),--json $(JSON)/latency.json) || [ $$? -eq 2 ]

.PHONY: check
check: .venv/.setup  ## ruff, formatter, mypy, import contract, generated files, links in docs, docs site
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m hack.generate --check
	@$(BIN)/python -m hack.check_links
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

.PHONY: clean
clean:  ## remove .venv and all caches of this directory
	@rm -rf .venv .venv-uv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist site
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ A cluster of your own

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
	  /^[a-z-]+:.*  ## / { sub(/:.*/, "", $$1); printf "  %smake %-13s%s %s\n", blue, $$1, plain, $$2 }' \
	  $(MAKEFILE_LIST); echo
