# `make site` sets up a registry and tests it; `make test` runs the linters and tests.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

INVENTORY ?= inventories/demo
PYTHON ?= python3
KILLS ?= 200
ROUNDS ?= 10
MATRIX ?=
HOLDFAST_LAB_PREFIX ?= holdfast
DEMO := $(HOLDFAST_LAB_PREFIX)-demo-registry $(HOLDFAST_LAB_PREFIX)-demo-client
CLUSTER := $(addprefix $(HOLDFAST_LAB_PREFIX)-cluster-,registry1 registry2 client store1 store2 store3)

venv := .venv
bin := $(venv)/bin
collection := .cache/collections/ansible_collections/holdfast/registry
# By the process of this make: another one may run for other hosts meanwhile.
summary := .cache/summary-$(shell echo $$PPID)
export HOLDFAST_LAB_PREFIX MATRIX
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PATH := $(CURDIR)/$(bin):$(PATH)

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  INVENTORY=$(INVENTORY)  for site, check, verify and status: your hosts; copy inventories/example/hosts.yml"
	@echo "  ARGS=--ask-become-pass       for these: more options for ansible-playbook, such as --tags users, --limit HOST or -v"
	@echo "  HOLDFAST_PLATFORM=auto  what throw-away hosts run: ubuntu-24.04, ubuntu-22.04, debian-13, debian-12, debian-11"

.PHONY: site
site: $(venv)/site.done ## Set up the registry and its clients, and test them with a push and a pull: without INVENTORY, throw-away containers
	@$(if $(is_demo),tests/lab/lab up $(DEMO))
	@mkdir -p .cache; rm -f $(summary)
	@# Both in one run: it asks only once for a password to become root with.
	ansible-playbook -i $(INVENTORY) playbooks/site.yml playbooks/verify.yml -e holdfast_summary_file=$(CURDIR)/$(summary) $(ARGS)
	@# --tags passes verify.yml over; then there is no summary, and never that of an earlier run.
	@if [ -e $(summary) ]; then cat $(summary); rm -f $(summary); else echo "Done, and not tested: that is what 'make verify' does"; fi
	@$(if $(is_demo),echo "Look inside:          docker exec -it $(HOLDFAST_LAB_PREFIX)-demo-client bash"; echo "Remove it all:        make clean")

.PHONY: demo-cluster
demo-cluster: $(venv)/site.done ## The demonstration with two hosts of one registry, and an S3 store of three nodes
	@tests/lab/lab up $(CLUSTER)
	@mkdir -p .cache; rm -f $(summary)
	ansible-playbook -i inventories/cluster molecule/shared/store.yml playbooks/site.yml playbooks/verify.yml -e holdfast_summary_file=$(CURDIR)/$(summary) $(ARGS)
	@cat $(summary); rm -f $(summary)
	@echo "Look inside:          docker exec -it $(HOLDFAST_LAB_PREFIX)-cluster-client bash"; echo "Remove it all:        make clean"

.PHONY: verify
verify: $(venv)/site.done ## Test a running registry, and leave nothing behind
	@mkdir -p .cache; rm -f $(summary)
	@# If one client fails, the summary shows the results of the others.
	@status=0; ansible-playbook -i $(INVENTORY) playbooks/verify.yml -e holdfast_summary_file=$(CURDIR)/$(summary) $(ARGS) || status=$$?; \
	  if [ -e $(summary) ]; then cat $(summary); rm -f $(summary); fi; exit $$status

.PHONY: status
status: $(venv)/site.done ## Say what the registries hold, how long disk and certificates last, and what needs attention
	ansible-playbook -i $(INVENTORY) playbooks/status.yml $(ARGS)

.PHONY: check
check: $(venv)/site.done ## Show what `make site` would change, and change nothing
	@$(if $(is_demo),tests/lab/lab up $(DEMO))
	ansible-playbook -i $(INVENTORY) playbooks/site.yml --check --diff $(ARGS)

.PHONY: clean
clean: ## Remove the demonstration: its containers, their data and passwords
	@tests/lab/lab down $(DEMO) $(CLUSTER)
	@tests/lab/lab stop-engine
	rm -rf .cache/demo .cache/demo-cluster .cache/summary*

.PHONY: test
test: KILLS := 15
test: SEED := 1
test: ## Check everything: lint, documentation, sanity, unit tests, faults, modules and scenarios on real hosts
	@# Each of the first four uses one processor most of the time. The others measure how long something takes, or use all there are.
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target integration sanity lint docs-site
	$(MAKE) --no-print-directory units faults scenarios KILLS=$(KILLS) SEED=$(SEED)

.PHONY: lint
lint: $(venv)/test.done ## Check YAML, Ansible, Python, shell, spelling, licenses, workflows and what Galaxy says
	yamllint --strict .
	git ls-files -z | xargs -0 codespell
	reuse lint --quiet || { reuse lint; exit 1; }
	$(bin)/python tests/license_headers.py
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	check-jsonschema --builtin-schema vendor.renovate renovate.json
	ruff check .
	ruff format --check .
	mypy
	ansible-lint --offline --profile production
	antsibull-changelog lint
	cd $(collection) && antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=self .
	shellcheck --severity=warning $$(git ls-files -z | xargs -0 grep -lIE '^#!.*sh$$|^# shellcheck shell=')
	$(bin)/python tests/role_readmes.py --check
	tests/galaxy-import
	$(bin)/python tests/prose.py

.PHONY: sanity
sanity: $(venv)/test.done ## ansible-test sanity
	tests/ansible-test sanity

.PHONY: sanity-all
sanity-all: ## ansible-test sanity on every ansible-core from 2.17 to 2.21 for which a Python is installed (MATRIX=2.17 for one)
	tests/every-core sanity

.PHONY: test-matrix
test-matrix: ## Units and playbooks on every ansible-core, and with the libraries of Ubuntu 22.04 and 24.04 (MATRIX=ubuntu-22.04 for one)
	@status=0; for part in playbooks units; do tests/every-core $$part || status=1; done; exit $$status

.PHONY: units
units: $(venv)/test.done ## The unit tests, on the Python of .venv (UNIT=tests/unit/plugins/lookup for some)
	tests/units $(UNIT)

.PHONY: units-all
units-all: $(venv)/test.done ## ansible-test units on every Python from 3.9 to 3.14 that is installed
	tests/ansible-test units-all

.PHONY: fuzz
fuzz: $(venv)/test.done ## The property tests with new random examples, ROUNDS=10 times (make units tries the same ones each time)
	for round in $$(seq $(ROUNDS)); do HOLDFAST_FUZZ=1 PYTHONPATH=.cache/collections $(bin)/python -m pytest -q -p no:cacheprovider $$(git grep -l hypothesis -- 'tests/unit/**/test_*.py') || exit 1; done

.PHONY: faults
faults: $(venv)/test.done ## Kill each module KILLS=200 times, run many at once, and check that nothing is lost
	$(bin)/python tests/faults/main.py --kills $(KILLS) $(if $(SEED),--seed $(SEED))

.PHONY: integration
integration: $(venv)/test.done ## ansible-test integration: the modules on a throw-away host (TARGET=htpasswd for one)
	tests/ansible-test integration $(TARGET)

.PHONY: bench bench-modules bench-nginx bench-site bench-mark bench-collect bench-backup bench-store
bench: $(venv)/test.done ## Measure everything (an hour; the machine must be idle otherwise)
	@status=0; for one in modules nginx site mark; do $(MAKE) --no-print-directory bench-$$one || status=1; done; exit $$status
bench-modules: $(venv)/test.done ## Compare the modules with those of other collections (twenty minutes)
	$(bin)/python tests/bench/modules.py $(ARGS)
bench-nginx: $(venv)/test.done ## Compare the gateway with nginx without passwords and with auth_basic (fifteen minutes)
	$(bin)/python tests/bench/nginx.py $(ARGS)
bench-site: $(venv)/test.done ## Compare an unchanged site.yml with a ping of the same hosts (five minutes)
	$(bin)/python tests/bench/site_yml.py $(ARGS)
bench-store: $(venv)/test.done ## Compare pulls from an object store with a static file and the store's own (ten minutes)
	$(bin)/python tests/bench/store.py $(ARGS)
bench-mark: $(venv)/test.done ## Mark storages of 10,000, 100,000 and a million blobs (twenty minutes, 15 GB)
	$(bin)/python tests/bench/mark.py $(ARGS)
bench-collect: $(venv)/test.done ## Count what one collection costs on a storage like the soak's (three minutes; needs strace)
	$(bin)/python tests/bench/collect.py $(ARGS)
bench-backup: $(venv)/test.done ## Compare a backup with a plain restic of the same 20 GB (half an hour, 65 GB; ARGS='--megabytes 500')
	$(bin)/python tests/bench/backup.py $(ARGS)

.PHONY: soak
soak: $(venv)/test.done ## Push and pull without pause while collections run and are killed (an hour; SOAK_SECONDS=600, RIVAL=1)
	$(bin)/python tests/soak/main.py $(ARGS)

.PHONY: cluster-faults
cluster-faults: $(venv)/test.done ## Kill, cut and slow down hosts and store nodes COUNT=3 times while clients push and pull (twenty minutes)
	$(bin)/python tests/cluster/faults.py $(ARGS)

.PHONY: scenarios
scenarios: $(venv)/test.done ## Molecule: all scenarios but cluster and migrate, on throw-away hosts (SCENARIO=cluster for one)
	tests/scenarios $(SCENARIO)

.PHONY: kills
kills: $(venv)/site.done ## Kill site.yml in random tasks and check that the next run completes
	tests/kills $(COUNT)

.PHONY: docs
docs: $(venv)/test.done ## Update the variable tables of the roles' READMEs
	$(bin)/python tests/role_readmes.py

.PHONY: docs-site
docs-site: .cache/docs/venv/done ## Build the documentation site into .cache/docs/html
	docs/site/build .cache/docs/venv/bin
	@echo "Look at it: .cache/docs/html/index.html"

.PHONY: dist
dist: $(venv)/test.done ## Build the collection's archive, and have Galaxy's importer read it
	tests/galaxy-import

.PHONY: release-check publish
release-check: $(venv)/test.done ## Check that this checkout is RELEASE=1.2.0, and build its archive and notes
	tests/release-check $(RELEASE)
publish: release-check ## Publish the archive of RELEASE=1.2.0 to Galaxy, with the token in GALAXY_API_KEY
	ansible-galaxy collection publish .cache/dist/holdfast-registry-$(RELEASE).tar.gz
# Ansible reads the token from its environment: on the command line every user of the machine could see it.
publish: export ANSIBLE_GALAXY_SERVER_LIST := galaxy
publish: export ANSIBLE_GALAXY_SERVER_GALAXY_URL := https://galaxy.ansible.com/
publish: export ANSIBLE_GALAXY_SERVER_GALAXY_TOKEN = $(GALAXY_API_KEY)

is_demo = $(filter inventories/demo inventories/demo/%,$(INVENTORY))

# The virtual environment, and a link to this checkout where Ansible looks for collections.
$(venv)/site.done: requirements/site.txt | $(collection)
	@$(call install,requirements/site.txt)
	@touch $@

$(venv)/test.done: requirements/test.txt requirements/site.txt tests/unit/requirements.txt | $(collection)
	@$(call install,requirements/test.txt)
	@touch $@ $(venv)/site.done

.cache/docs/venv/done: requirements/docs.txt | $(collection)
	@$(call install,requirements/docs.txt,.cache/docs/venv)
	@touch $@

$(collection):
	@mkdir -p $(@D)
	@ln -sfn ../../../.. $@

# Install what the file $(1) lists into the virtual environment $(2), by default $(venv).
# pip would also compile the 100 collections of the package ansible, for 40 seconds. Ansible's loader reads nothing of what is compiled of collections.
define install
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
test -x $(or $(2),$(venv))/bin/pip || $(PYTHON) -m venv $(or $(2),$(venv)) || { apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv --clear $(or $(2),$(venv)); }
echo "Installing what $(1) lists into $(or $(2),$(venv)) ..."
$(or $(2),$(venv))/bin/pip install --quiet --no-compile --disable-pip-version-check -r $(1)
$(or $(2),$(venv))/bin/python -m compileall -qq -j 0 -x /ansible_collections/ $(or $(2),$(venv))/lib || true # some packages have files for other versions of Python
endef
