# Everything works from a fresh clone: each target sets up what it needs in .venv first.
# `make demo PYTHON=python3.12` chooses the Python that .venv is made from (once).

PYTHON ?= python3
# What the demo data have beside sales.
DEMO_VARS := {using_customers: true, using_products: true, using_engagement_events: true, \
    using_campaign_contacts: true}
# The made-up customers of the experiment leave for good, so that segments.csv claims too much of those
# whom the silence puts at risk: said in the build, and no reason to stop before the lift is shown.
EXPERIMENT_VARS := {using_experiment_assignments: true, using_campaign_contacts: true, \
    validation_severity: warn}

PY := .venv/bin/python
DBT := .venv/bin/dbt
# The checks build in a file of their own and leave the demo's alone.
TEST_DUCKDB := target/test/rfm_retention.duckdb

export DO_NOT_TRACK := 1
# Our profiles.yml, also where the user's environment names another one.
export DBT_PROFILES_DIR := .

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup setup-spark demo demo-experiment test test-full test-spark benchmark lint docs
.PHONY: check-policy clean test-with-postgres

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile \
	    | while IFS='|' read -r name text; do printf '  make %-16s %s\n' "$$name" "$$text"; done

setup: ## Install the locked packages into .venv, and dbt_utils (instant when done before)
	@if test -x .venv/bin/pip; then python=$(PY); else python='$(PYTHON)'; fi; \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	    || { echo "Python 3.11, 3.12 or 3.13 is needed; $$python is:" \
	        "$$("$$python" --version 2>&1). Remove .venv if there is one and name another:" \
	        "make setup PYTHON=python3.12"; exit 1; }
	@test -x .venv/bin/pip || '$(PYTHON)' -m venv .venv \
	    || { echo "No virtual environment could be made. On Debian and Ubuntu:" \
	        "apt-get install python3-venv"; exit 1; }
	@cmp -s requirements.txt .venv/installed_requirements.txt || { \
	    echo "Installing the locked Python packages into .venv (a minute or two)"; \
	    $(PY) -m pip --disable-pip-version-check --quiet install --require-hashes \
	        --requirement requirements.txt \
	    && cp requirements.txt .venv/installed_requirements.txt; }
	@$(PY) -m python_checks.dbt_packages

setup-spark: setup ## Install Spark beside the rest (400 MB; needs Java 17 or later)
	@cmp -s requirements-spark.txt .venv/installed_requirements_spark.txt || { \
	    echo "Installing Spark into .venv (400 MB)"; \
	    $(PY) -m pip --disable-pip-version-check --quiet install --require-hashes \
	        --requirement requirements-spark.txt \
	    && cp requirements-spark.txt .venv/installed_requirements_spark.txt; }

demo: setup ## Load the demo data, build everything on DuckDB, print the segments
	@$(PY) -m python_checks.load_demo --target duckdb
	@$(DBT) build --target duckdb --vars '$(DEMO_VARS)'
	@$(PY) -m python_checks.show_segments --target duckdb

demo-experiment: export RFM_DUCKDB_PATH := experiment_demo.duckdb
demo-experiment: setup ## A made-up shop with a three-arm experiment: its true lift beside the measured one
	@rm -f $(RFM_DUCKDB_PATH) $(RFM_DUCKDB_PATH).wal
	@$(PY) -m python_checks.demo_experiment history
	@$(DBT) build --target duckdb --select +customer_segments --indirect-selection cautious \
	    --exclude-resource-type unit_test
	@$(PY) -m python_checks.demo_experiment outcome
	@$(DBT) build --target duckdb --exclude-resource-type unit_test \
	    --vars '$(EXPERIMENT_VARS)'
	@$(PY) -m python_checks.demo_experiment show

test: export RFM_DUCKDB_PATH := $(TEST_DUCKDB)
test: lint ## Every check: lint, builds with all tests on DuckDB and PostgreSQL, pytest
	@$(PY) -m python_checks.load_demo --target duckdb
	@$(DBT) build --target duckdb --target-path target/test/duckdb --vars '$(DEMO_VARS)'
	@$(PY) -m python_checks.postgres_server -- $(MAKE) --no-print-directory test-with-postgres

test-with-postgres: # the part of `test` that runs beside the server
	@$(PY) -m python_checks.load_demo --target postgres
	@$(DBT) build --target postgres --target-path target/test/postgres --vars '$(DEMO_VARS)'
	@$(PY) -m pytest

test-spark: export RFM_SPARK := 1
test-spark: setup-spark ## Every mart on Spark and PostgreSQL against DuckDB; a Spark cluster on this machine
	@$(PY) -m pytest python_checks/test_engines_agree.py python_checks/test_spark_cluster.py

test-full: export RFM_FULL := 1
test-full: test ## The same with many more generated cases (slower)

# polars and openretailscience want an older pandas: an environment of their own.
benchmark: ## Measure the project beside SQL by hand, pandas, polars and openretailscience (half an hour)
	@test -x .venv-benchmark/bin/pip || '$(PYTHON)' -m venv .venv-benchmark
	@cmp -s requirements-benchmark.txt .venv-benchmark/installed_requirements.txt || { \
	    .venv-benchmark/bin/python -m pip --disable-pip-version-check --quiet install \
	        --require-hashes --requirement requirements-benchmark.txt \
	    && cp requirements-benchmark.txt .venv-benchmark/installed_requirements.txt; }
	@.venv-benchmark/bin/python -m python_checks.dbt_packages
	@.venv-benchmark/bin/python -m python_checks.benchmark current --output benchmark.json

lint: setup ## Lint the SQL and parse the project with warnings as errors
	@$(DBT) --warn-error parse --target duckdb --no-partial-parse --target-path target/test/parse
	@echo "Linting the SQL (a few minutes)"
	@RFM_DUCKDB_PATH=:memory: DBT_TARGET_PATH=target/test/lint \
	    .venv/bin/sqlfluff lint . > target/test/lint.txt; code=$$?; cat target/test/lint.txt; \
	    if grep -q 'Skipped file' target/test/lint.txt; then code=1; fi; exit $$code

docs: setup ## Write the documentation of every model and column to target/static_index.html
	@$(DBT) docs generate --static --target duckdb --vars '$(DEMO_VARS)'
	@echo "Open target/static_index.html in a browser"

check-policy: setup ## Check the CSV files in seeds/ before a build uses them
	@$(PY) -m python_checks.check_policy_files
	@$(DBT) --quiet build --select +policy_gate --indirect-selection cautious --target duckdb
	@echo "The policy in seeds/ is usable."

clean: ## Remove what builds made: target, logs, dbt_packages, the demos' DuckDB files
	rm -rf target logs dbt_packages rfm_retention.duckdb rfm_retention.duckdb.wal \
	    experiment_demo.duckdb experiment_demo.duckdb.wal spark_rfm_retention derby.log
