# Every command of the project. `make` alone lists them.

# The machine's settings may forbid bytecode, which makes each start several times slower.
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV

PYTHON := .venv/bin/python
ARGS ?=
WORKERS ?= $(if $(ARGS),1,3)
AREA ?= fetch
N ?= 20
SEED ?= 1

.DEFAULT_GOAL := help

##@ Start here

.PHONY: help
help: ## List these commands
	@awk 'BEGIN { FS = ":.*##" } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*##/ { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## Find Python and Node, install the pinned packages (cached; every command below does it first)
# The first Python >= 3.11 on PATH that works: the first python3 may be a shim that does not.
	@IFS=:; for folder in $$PATH; do for name in python3 python3.14 python3.13 python3.12 python3.11; do \
		python="$$folder/$$name"; [ -x "$$python" ] || continue; \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		unset IFS; exec "$$python" -m localcloud.setup; \
	done; done; echo "Python 3.11 or newer is needed, and none on PATH works." >&2; exit 1

.PHONY: demo
demo: setup ## Play the whole story on real mail against the local cloud, and print figures
	@$(PYTHON) -m localcloud demo $(ARGS)

.PHONY: run
run: setup ## Start the local cloud and the app, and stay until Ctrl-C
	@$(PYTHON) -m localcloud up $(ARGS)

##@ While changing something

.PHONY: test
test: setup ## Run every test, in WORKERS processes (ARGS="-k word" for some, in one)
# A file's tests stay in one process, and files come in their order: journeys, which wait a lot, before the unit tests.
	@$(PYTHON) -m pytest $(if $(filter-out 0 1,$(WORKERS)),-n $(WORKERS) --dist loadfile --no-loadscope-reorder) $(ARGS)

.PHONY: check
check: setup ## Check format, lint, types, the direction of imports, and the Bicep files
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	$(PYTHON) -m infra.check

.PHONY: format
format: setup ## Format the code and mend what the linter can mend
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

.PHONY: lock
lock: setup ## Pin requirements*.txt and the foreign clients anew from the .in files, with hashes (ARGS=--upgrade: newer)
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --generate-hashes \
		--custom-compile-command "make lock" $(ARGS) requirements.in --output-file requirements.txt
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --generate-hashes \
		--custom-compile-command "make lock" $(ARGS) requirements-dev.in --output-file requirements-dev.txt
	@for file in localcloud/foreign/*.in; do \
		.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --generate-hashes \
			--custom-compile-command "make lock" $(ARGS) $$file --output-file $${file%.in}.txt || exit 1; \
	done

.PHONY: licences
licences: setup ## Write docs/licences.md from what is installed (after make lock)
	@$(PYTHON) -m localcloud.supply licences

.PHONY: sbom
sbom: setup ## Write dist/mailgrant.cdx.json: what is deployed, as CycloneDX
	@$(PYTHON) -m localcloud.supply sbom

.PHONY: screenshots
screenshots: setup ## Take a picture of every page into docs/screenshots (needs chromium or google-chrome)
	@$(PYTHON) -m localcloud screenshots $(ARGS)

##@ Commands that print figures

.PHONY: faults
faults: setup ## Kill the host at every boundary, amid faults; count what is lost, doubled, stuck (AREA=fetch|deliver|send|upgrade N=20)
	@$(PYTHON) -m localcloud faults --area $(AREA) --count $(N) $(ARGS)

.PHONY: soak
soak: setup ## Let two hosts work amid everything at once, and judge what became of every mail (SECONDS=900 SEED=1 ARGS=--plan)
	@$(PYTHON) -m localcloud soak --seconds $(if $(filter command environment,$(firstword $(origin SECONDS))),$(SECONDS),60) --seed $(SEED) $(ARGS)

.PHONY: fuzz
fuzz: setup ## Try to break everything that parses foreign input (SECONDS=120 SEED=1); failing inputs go to .cache/fuzz
	@$(PYTHON) -m localcloud fuzz $(if $(filter command environment,$(firstword $(origin SECONDS))),--seconds $(SECONDS)) --seed $(SEED) $(ARGS)

.PHONY: corpus
corpus: setup ## Let 6,046 real mails through, compare every byte, and print what could not be read of them
	@$(PYTHON) -m localcloud corpus $(ARGS)

.PHONY: bench
bench: setup ## Measure against the goals and other clients (AREA=fetch; no AREA: all; ARGS=--alone: without the others)
	@$(PYTHON) -m bench $(if $(filter command environment,$(firstword $(origin AREA))),$(AREA)) $(ARGS)

.PHONY: package
package: setup ## Write dist/mailgrant.zip as it is deployed; install it apart, print its size and how fast it starts
	@$(PYTHON) -m localcloud package $(ARGS)

.PHONY: costs
costs: setup ## Print what mail costs at Microsoft, from measured counts and prices (ARGS=--prices FILE for yours)
	@$(PYTHON) -m bench.costs $(ARGS)
