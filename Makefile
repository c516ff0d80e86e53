# Everything a person needs to know: `make run`, `make test`. The rest is for those who work on Veritrain.
SHELL := /bin/bash
PYTHON ?= python3
PY := .venv/bin/python
# Functions and error classes whose first argument is a sentence for people.
SENTENCES := _ N_ gettext ngettext:1,2 InvalidInput NotFound NotSignedIn NotAllowed Conflict TooLarge TooMany Unavailable refuse_unknown:2
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run demo setup test test-slow lint fix bench accuracy lock messages browser

run: setup  ## start everything with embedded defaults and print one address
	@exec $(PY) -m jobs.supervise

demo: setup  ## load the handwritten digits into the running Veritrain
	@$(PY) -m api.cli demo

setup: .venv/ready  ## make or update the environment

# The mark is newer than what it was made from, so a second call does nothing.
.venv/ready: requirements-dev.txt $(wildcard pages/locale/*/LC_MESSAGES/*.po)
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Veritrain needs Python 3.11 or newer; this is %s. Name another with: make run PYTHON=python3.12" % sys.version.split()[0])'
	@test -x .venv/bin/uv || { echo "Setting up (once, about a minute) …"; $(PYTHON) -m venv .venv && .venv/bin/pip install --quiet uv; }
	@VIRTUAL_ENV=.venv .venv/bin/uv pip install --quiet --require-hashes -r requirements-dev.txt
	@.venv/bin/pybabel -q compile -d pages/locale -D veritrain
	@touch $@

test: setup lint browser  ## lint, types, contracts and every fast test, the browser's included
	$(PY) -m pytest tests -m "not slow and not e2e" -n 2 --dist worksteal
	$(PY) -m pytest tests -m "e2e and not slow" -n 2 --dist loadfile --tb=short

test-slow: setup browser  ## the long proofs
	$(PY) -m pytest tests -m slow

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

fix: setup  ## repair what the linter can repair
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

browser: setup  ## find or fetch the Chromium that the end-to-end tests drive
	@$(PY) -m tests.browser

bench: setup  ## print the figures of the README; each is also one command in benchmarks/
	@for b in upload label_update ten_people manifest_import label_studio thumbs million grid ab_rules ab_results ab_gateway gateway batch_predict app_idle events throughput frozen_features charts studio to_screen image_quality text_quality second_check registry passport; do $(PY) -m benchmarks.$$b $(if $(DATA),--data $(DATA)) || exit 1; done

accuracy: setup  ## what a training's speed costs in accuracy: minutes on a GPU, hours without one; DATA=cifar10-8k.tar.gz
	$(PY) -m benchmarks.accuracy --data $(DATA)

lock: setup  ## compile the pinned, hashed requirements from the .in files
	.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes requirements.in -o requirements.txt
	.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes requirements-dev.in -o requirements-dev.txt

messages: setup  ## collect new texts into the translation catalogues
	$(PY) -m babel.messages.frontend -q extract -F pages/locale/babel.cfg $(addprefix -k ,$(SENTENCES)) --no-location --sort-output \
	  --project Veritrain --msgid-bugs-address "" -o pages/locale/veritrain.pot app.py api core jobs pages
	for l in ja ko; do .venv/bin/pybabel -q update -d pages/locale -D veritrain -l $$l -i pages/locale/veritrain.pot --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date || exit 1; done
