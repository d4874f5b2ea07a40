# Every target works from a clean clone: what it needs is set up first, by tools/bootstrap.sh.
.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

BIN := .venv/bin
READY := .venv/.ready
CLUSTER := tests/devcluster/cluster
REPORTS := .cache/reports

# The suites, in the order in which they run; each is a folder under tests/ and counted by itself.
# `doctests` is the examples in the docstrings of both packages and in README.md.
UNIT_SUITES := tidy model replay typed testing patterns checking control bad_input doctests
POSTGRES_SUITES := providers dispatch client executor cli docs chaos
LONG_SUITES := simulation
CLUSTER_SUITES := chart cluster
SUITES := $(UNIT_SUITES) $(POSTGRES_SUITES) $(LONG_SUITES) $(CLUSTER_SUITES)

# A suite is run when there is a test in it.
suites_here = $(foreach suite,$1,$(if $(filter doctests,$(suite))$(wildcard tests/$(suite)/test_*.py tests/$(suite)/*/test_*.py),$(suite)))
run_suites = tools/suites.sh $(REPORTS) $(call suites_here,$1)
sum_suites = $(BIN)/python tools/suite_report.py $(REPORTS) $(call suites_here,$1)

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Setting up

.PHONY: setup
setup: $(READY) ## Make .venv with everything in it, and the git hooks
	@if git rev-parse --git-dir >/dev/null 2>&1; then $(BIN)/pre-commit install; fi

$(READY): uv.lock pyproject.toml
	@echo "setting up .venv"
	@tools/bootstrap.sh python
	@touch $@

##@ Checking

.PHONY: check
check: lint layers types verify test-unit ## What takes seconds and needs no server and no cluster

.PHONY: format
format: $(READY) ## Rewrite the code as the formatter wants it
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

.PHONY: lint
lint: $(READY) ## Say where style or a lint is off
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

.PHONY: layers
layers: $(READY) ## Hold each layer to the ones beneath it
	@$(BIN)/lint-imports --cache-dir .cache/import_linter --no-logo

.PHONY: types
types: $(READY) ## mypy and pyright, both strict
	@$(BIN)/mypy
	@$(BIN)/pyright

.PHONY: tidy
tidy: $(READY) ## The tests about the repository itself
	@$(BIN)/pytest -q tests/tidy

.PHONY: verify
verify: $(READY) ## Generate what is generated, and compare with what is committed
	@tools/crds.sh --check

##@ Testing

.PHONY: test
test: ## Everything: check, then every suite, on a real Postgres and a real cluster
	@echo "== setting up"
	@tools/bootstrap.sh
	@touch $(READY)
	@$(MAKE) --no-print-directory lint layers types verify
	@rm -rf $(REPORTS)
	@$(call run_suites,$(UNIT_SUITES) $(POSTGRES_SUITES) $(LONG_SUITES))
	@$(MAKE) --no-print-directory cluster-up images \
		|| echo "there is no cluster, and so its suites will fail"
	@$(call run_suites,$(CLUSTER_SUITES))
	@$(call sum_suites,$(SUITES))

.PHONY: test-unit
test-unit: $(READY) ## The suites that need nothing but Python
	@rm -rf $(REPORTS)
	@$(call run_suites,$(UNIT_SUITES))
	@$(call sum_suites,$(UNIT_SUITES))

.PHONY: test-postgres
test-postgres: $(READY) ## The suites that run on a Postgres which they start themselves
	@rm -rf $(REPORTS)
	@$(call run_suites,$(POSTGRES_SUITES))
	@$(call sum_suites,$(POSTGRES_SUITES))

.PHONY: test-cluster
test-cluster: $(READY) cluster-up images ## The suites that install the chart and run real pods
	@rm -rf $(REPORTS)
	@$(call run_suites,$(CLUSTER_SUITES))
	@$(call sum_suites,$(CLUSTER_SUITES))

.PHONY: simulate
simulate: $(READY) ## Run simulated worlds: WORLDS=10000, or SECONDS=600
	@$(BIN)/python -m perdure.testing.simulation $(if $(SECONDS),--seconds $(SECONDS),--worlds $(or $(WORLDS),1000))

.PHONY: chaos
chaos: $(READY) ## Kill everything at random for SECONDS=600; lose nothing
	@$(BIN)/python -m tests.chaos.run --seconds $(or $(SECONDS),600) $(ARGS)

.PHONY: bench
bench: $(READY) ## Measure this checkout
	@$(BIN)/perdure bench $(ARGS)

.PHONY: sizes
sizes: $(READY) ## The longest files and functions: to look at, not to obey
	@$(BIN)/python tools/sizes.py

##@ Building

.PHONY: crds
crds: $(READY) ## Write crds/ and the chart's copy from the models
	@tools/crds.sh

.PHONY: images
images: $(READY) ## Build the images and load them into the cluster
	@tools/images.sh

##@ A cluster on this machine

.PHONY: cluster-up
cluster-up: ## Bring a local Kubernetes cluster up, or find that it is up
	@tools/bootstrap.sh cluster
	@$(CLUSTER) up

.PHONY: cluster-down
cluster-down: ## Take it down
	@$(CLUSTER) down

.PHONY: cluster-status
cluster-status: ## Say what is there
	@$(CLUSTER) status

.PHONY: demo
demo: $(READY) ## Install Perdure into the cluster and watch orchestrations complete
	@tools/demo.sh

.PHONY: demo-down
demo-down: ## Remove what the demo installed
	@tools/demo.sh down
