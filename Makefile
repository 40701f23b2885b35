# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# `make` prints the targets. They set up what they need: .venv from tests/requirements.txt, the collection in
# build/collections where Ansible finds it, and the local world's programs in ~/.cache/castai-onboarding.

# The installed ansible-core supports Python up to 3.13, so a newer one is only used if there is no other.
find_python = $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= $(1))' 2> /dev/null && \
	echo $$python && break; done)
PYTHON := $(or $(call find_python,(3, 13)),$(call find_python,(3, 99)))
BIN := $(CURDIR)/.venv/bin
NAMES ?=
FRESH ?=
AGAINST ?=
SIZES ?=
AFRESH := $(if $(FRESH),--fresh)

export PATH := $(BIN):$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/build/collections
export ANSIBLE_HOME := $(CURDIR)/build/ansible
# Where it is set, as in many container images, each of hundreds of processes would compile every library again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test bench check-az unit world molecule gates lint setup collection programs clean

help: ## print this
	@sed -n 's/^\([a-z -]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS="$$(printf '\t')" read -r targets text; do \
			for target in $$targets; do printf 'make %-11s %s\n' "$$target" "$$text"; done; done

demo: setup ## see clusters of EKS, GKE, AKS and kOps connected and onboarded on the local world
	$(BIN)/python -m tests.demo

test: collection ## everything that must pass before a change is merged; FRESH=1 does not reuse earlier results
	$(BIN)/python -m tests $(AFRESH)

unit world molecule: collection ## only this part of the tests
	$(BIN)/python -m tests $@

gates: collection ## the checks of a publishable collection; NAMES="ruff mypy" runs only these, NAMES=--list lists all
	$(BIN)/python -m tests.gates $(AFRESH) $(NAMES)

lint: collection ## the quick checks among the gates
	$(BIN)/python -m tests.gates $(AFRESH) ruff mypy lint changelog tree

bench: setup ## figures on speed and size; AGAINST=COMMIT measures that commit too, SIZES="1 8" sets the numbers of clusters
	$(BIN)/python -m tests.bench $(if $(AGAINST),--against $(AGAINST)) $(if $(SIZES),--sizes $(SIZES))

check-az: collection ## check the local world's Azure with the installed az
	$(BIN)/python -m pytest -q tests/check_az.py

# The Go build waits for compilers, the environment for downloads: in parallel, they only take as long as the first.
setup: ## install everything that the targets need
	@$(MAKE) --no-print-directory -j 2 programs collection

collection: .venv/ready ## .venv, and the collection where Ansible finds it
	@$(BIN)/python -m tests.tree build/collections

programs: ## the local world's programs, built once from source
	@$(PYTHON) -u -c 'from tests.sandbox import build; build.build(print)'

# Python compiles what it imports, which is a small part of Azure's and Graph's clients.
.venv/ready: tests/requirements.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer, with venv, is needed, and none is on the PATH"; exit 1; }
	@echo "installing tests/requirements.txt into .venv, once: about two minutes"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --requirement tests/requirements.txt
	@touch $@

clean: ## remove .venv and build
	rm -rf .venv build
