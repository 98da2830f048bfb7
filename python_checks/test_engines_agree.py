"""Every mart, every column: Spark against DuckDB, of the same hard rows of all five sources.

Needs `make setup-spark`. Without pyspark these checks are skipped, unless RFM_SPARK=1 says that they
must run (`make test-spark` says so).
"""

from __future__ import annotations

import os

import pandas as pd
import pytest

from python_checks import hard_cases, spark_session
from python_checks.behaviour_cases import COLUMN_TYPES
from python_checks.dbt_project import PROJECT_ROOT, Build, Project, builds, object_frame, on
from python_checks.expected_marts import differences, plain
from python_checks.test_behaviour_agree import TABLES, the_case, the_vars

pytestmark = pytest.mark.skipif(
    not spark_session.is_installed() and os.environ.get("RFM_SPARK") != "1",
    reason="Spark is not installed: make setup-spark",
)

# Chains of queries that Spark writes out into one: the centres of the clusters it does not plan in
# useful time, the other three have not been run; with everything that is made of them.
NOT_ON_SPARK = (
    "int_discovery_centres+",
    "int_propensity_models+",
    "int_experiment_tests+",
    "experiment_power+",
)
MARTS = {path.stem for path in (PROJECT_ROOT / "models/marts").glob("*/*.sql")}
UNTIDY = hard_cases.untidy_text()
FLOATS = {"float_ids": hard_cases.float_ids(), "non_finite": hard_cases.non_finite_doubles()}
STAGING = ("stg_sales", "stg_sales_rejected")


def build_marts(project: Project) -> tuple[dict[str, pd.DataFrame], dict[str, tuple[str, ...]]]:
    """({mart: rows}, {mart: key}): events, contacts, products, customers; money as floats."""
    case = the_case("all_sources")
    for table, entity in TABLES.items():
        rows = getattr(case, entity)
        types = {column: COLUMN_TYPES[entity][column] for column in rows.columns}
        if entity == "sales":
            types["revenue"] = "double precision"
            revenue = [None if money is None else float(money) for money in rows["revenue"]]
            rows = rows.assign(revenue=revenue)
        project.land(table, rows, types)
    run = project.dbt(
        "build",
        "--exclude-resource-type",
        "unit_test",
        "--exclude",
        *NOT_ON_SPARK,
        vars=the_vars("all_sources"),
    )
    assert run.success, run.problems
    built = [name for name in sorted(MARTS) if run.statuses.get(name) == "success"]
    return {name: plain(project.read(f"rfm_marts.{name}")) for name in built}, project.keys()


def build_staging(project: Project) -> dict[str, pd.DataFrame]:
    """The accepted and the rejected rows of what people write, and of floating-point columns."""
    found = {}
    for name, case in {"untidy": UNTIDY, **FLOATS}.items():
        project.land("fact_sales", case.sales, case.column_types)
        run = project.dbt(
            "run",
            "--select",
            "base_sales",
            "stg_sales_classified",
            *STAGING,
            vars={"latest_plausible_date": hard_cases.LATEST_PLAUSIBLE_DATE.isoformat()},
        )
        assert run.success, run.problems
        found |= {f"{name} {model}": plain(project.read(f"rfm_staging.{model}")) for model in STAGING}
    return found


MART_BUILDS: dict[str, Build] = {engine: on(engine, build_marts) for engine in ("duckdb", "spark")}
STAGING_BUILDS: dict[str, Build] = {
    engine: on(engine, build_staging) for engine in ("duckdb", "spark")
}


def _in_order(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Columns in the order of the other engine: Spark puts the date of a slice last."""
    assert sorted(rows.columns) == sorted(columns)
    return object_frame(columns, list(rows[columns].itertuples(index=False, name=None)))


@builds(MART_BUILDS["spark"])
def test_every_mart_is_the_same_on_spark(under_way, built):
    on_duckdb, keys = under_way(MART_BUILDS["duckdb"]).result()
    on_spark, _ = built
    assert set(on_spark) == set(on_duckdb)
    assert set(on_duckdb) <= set(keys), "a mart without a test that says what identifies a row"
    found = {
        name: differences(rows, _in_order(on_spark[name], list(rows.columns)), keys[name])
        for name, rows in on_duckdb.items()
    }
    assert {name: difference for name, difference in found.items() if difference} == {}
    assert len(on_duckdb["customer_rfm"]) > 100
    assert len(on_duckdb["customer_segment_history"]) > 300


@builds(STAGING_BUILDS["spark"])
def test_every_sale_is_read_the_same_on_spark(under_way, built):
    on_duckdb = under_way(STAGING_BUILDS["duckdb"]).result()
    found = {
        name: differences(rows, _in_order(built[name], list(rows.columns)))
        for name, rows in on_duckdb.items()
    }
    assert {name: difference for name, difference in found.items() if difference} == {}
    assert len(on_duckdb["untidy stg_sales_rejected"]) > 20
